//! The words of check phrases: 256, each told from every other by its first four letters.

/// In alphabetical order; a byte's value is the place of its word.
pub(super) const WORDS: [&str; 256] = [
    "acorn", "actor", "adobe", "agent", "album", "alder", "alert", "amber", "anchor", "angle", "ankle", "apple",
    "apron", "arena", "arrow", "aspen", "atlas", "attic", "autumn", "award", "bacon", "badge", "bagel", "baker",
    "bamboo", "banjo", "barrel", "basket", "beacon", "beard", "beetle", "bench", "berry", "birch", "bishop", "blanket",
    "bottle", "bramble", "bridge", "bucket", "button", "cabin", "cactus", "camel", "candle", "canyon", "carbon",
    "castle", "cedar", "cello", "chapel", "cherry", "chimney", "cinema", "circus", "clover", "cobalt", "comet",
    "copper", "cotton", "cousin", "crayon", "crystal", "cymbal", "dahlia", "daisy", "damson", "dancer", "debate",
    "decade", "denim", "desert", "diesel", "dinner", "dolphin", "donkey", "dragon", "drawer", "driver", "dune",
    "eagle", "earth", "easel", "echo", "eclipse", "elbow", "elder", "emerald", "engine", "envoy", "epoch", "ermine",
    "estate", "ether", "fable", "falcon", "farmer", "feather", "fennel", "ferry", "fiddle", "finger", "flagon",
    "flute", "forest", "fossil", "fountain", "frost", "funnel", "gable", "galaxy", "garden", "garlic", "gecko",
    "geyser", "ginger", "glacier", "goblet", "goose", "granite", "grotto", "guitar", "gypsum", "hamlet", "hammer",
    "harbour", "hazel", "helmet", "herald", "hermit", "hinge", "honey", "hornet", "hotel", "hunter", "icicle", "igloo",
    "index", "indigo", "island", "ivory", "jacket", "jaguar", "jasmine", "jelly", "jersey", "jigsaw", "jockey",
    "jungle", "juniper", "kayak", "kennel", "kettle", "kidney", "kitten", "knight", "ladder", "lagoon", "lantern",
    "lemon", "lentil", "lettuce", "library", "lilac", "linen", "lizard", "lobster", "locket", "lumber", "lunch",
    "magnet", "mango", "maple", "marble", "meadow", "medal", "melon", "mercury", "midnight", "mirror", "mitten",
    "monkey", "mosaic", "muffin", "mustard", "napkin", "nectar", "needle", "nephew", "nickel", "noodle", "notch",
    "nugget", "nutmeg", "oasis", "ocean", "octopus", "olive", "onion", "opera", "orange", "orchid", "otter", "oven",
    "oyster", "paddle", "palace", "panther", "parcel", "peanut", "pebble", "pelican", "pencil", "pepper", "piano",
    "pigeon", "pillow", "pirate", "planet", "plum", "pocket", "poppy", "quarry", "quilt", "rabbit", "radish", "raisin",
    "ribbon", "river", "robin", "rocket", "saddle", "salmon", "satin", "saturn", "shovel", "silver", "spider",
    "sunset", "tablet", "teapot", "thimble", "thunder", "tiger", "tomato", "tulip", "tunnel", "turkey", "umbrella",
    "uncle", "vanilla", "velvet", "violin", "walnut", "wander", "willow",
];

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_words_can_be_taken_for_each_other() {
        let heads: BTreeSet<&str> = WORDS.iter().filter_map(|word| word.get(..4)).collect();
        assert_eq!(heads.len(), WORDS.len());
        assert!(WORDS.iter().all(|word| word.len() <= 8 && word.bytes().all(|byte| byte.is_ascii_lowercase())));
        assert!(WORDS.is_sorted());
    }
}
