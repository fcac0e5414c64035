// Package types holds what travels over the broker's HTTP API: requests, answers and problems, as the
// server writes them and the client reads them. It imports nothing of the broker, so that programs
// which only talk to a broker do not link one.
//
// Two rules: a field that is ever released keeps its name and meaning, and no type here holds a
// secret value except [Issued], whose values are shown once.
package types
