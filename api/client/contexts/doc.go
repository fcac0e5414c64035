// Package contexts reads and writes the file in which a person's brokers are remembered: for each
// context the addresses of a cluster and how to log in to it. Command line tools use the current
// context when neither flags nor variables say where a broker is.
//
// Two rules: the file holds tokens, so it is written with mode 0600 only, and it is replaced in one
// step, so that a reader never sees half of it.
package contexts
