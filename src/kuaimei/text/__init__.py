"""Text on the ground floor: clauses, script and the zh-TW reading of what is to be spoken."""
