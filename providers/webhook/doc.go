// Package webhook makes logins by calling a service of the user's own: a provider for systems that no other package
// knows, without a line of it in this repository.
//
// It owns the contract between the two (contract.go, CONTRACT.md, contract.schema.json), its signature, and what each
// answer means. It refuses to believe an answer that does not repeat which request and which system it is of.
//
// Two rules one could break it with: what was sent and got no proper answer is unknown, however the answer looks; and
// whatever changes in contract.go changes for services that other people run, so fields are only ever added.
package webhook
