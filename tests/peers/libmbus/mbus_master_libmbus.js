// Reads meters with libmbus (C), through the npm package node-mbus.
//
//   node mbus_master_libmbus.js PORT BAUD METER...
//
// PORT is a serial device or HOST:PORT; METER a primary address or a secondary
// one of 16 hex digits. Prints one line of JSON for each meter:
// {"meter", "id", "manufacturer", "records": [{"value", "unit", "storage"}]}
// or {"meter", "error"}.
'use strict';

const MbusMaster = require('node-mbus');

function list(whatever) {
  return whatever === undefined ? [] : [].concat(whatever);
}

function described(meter, telegram) {
  const slave = telegram.SlaveInformation || {};
  const records = list(telegram.DataRecord).map((record) => ({
    value: record.Value,
    unit: record.Unit,
    storage: record.StorageNumber,
  }));
  return { meter, id: String(slave.Id), manufacturer: slave.Manufacturer, records };
}

async function main() {
  const [port, baud, ...meters] = process.argv.slice(2);
  const [, host, tcpPort] = /^([^/]+):(\d+)$/.exec(port) || [];
  const where = host ? { host, port: Number(tcpPort), timeout: 4000 } : { serialPort: port, serialBaudRate: Number(baud) };
  const master = new MbusMaster(where);
  await master.connectAsync();
  let failures = 0;
  for (const meter of meters) {
    const address = meter.length === 16 ? meter : Number(meter);
    try {
      console.log(JSON.stringify(described(meter, await master.getDataAsync(address, { pingFirst: true }))));
    } catch (error) {
      failures += 1;
      console.log(JSON.stringify({ meter, error: String(error && error.message ? error.message : error) }));
    }
  }
  await master.closeAsync();
  process.exitCode = failures ? 1 : 0;
}

main().catch((error) => {
  console.error(String(error));
  process.exitCode = 1;
});
