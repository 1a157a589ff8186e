"""One spoken conversation: who listens, who thinks, who speaks; every step an event."""
