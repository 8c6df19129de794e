//! Process groups as plain data and decisions: options, scoreboard, policies. No clock, no fork.
