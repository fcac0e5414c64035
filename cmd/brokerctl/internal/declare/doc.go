// Package declare reads what a broker is to hold from YAML documents, and works out what to do about it: it compares what
// is wanted with what is there. It asks no broker and changes nothing; who uses it does.
//
// Two rules: what a document leaves out has its default, but for secret fields, what the broker made itself and what a [Field] says is kept; and a
// value that a document takes from a variable or a file is printed by nobody, whichever field it is for.
package declare
