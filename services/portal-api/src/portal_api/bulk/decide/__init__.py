"""Pure: what the sequencer is expected to say, from read models. Its own word is final."""
