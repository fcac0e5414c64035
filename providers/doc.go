// Package providers is the contract between the broker and the outside systems at which it makes
// logins: what a provider says about itself, what its backends do, and what both sides share
// (validation, login names, passwords, the dialer, redaction).
//
// It knows nothing of leases, the replicated state or HTTP, and imports nothing of ours; a package
// below it implements one outside system each and imports no other. It refuses to decide when
// something is done: that is the ledger's business.
//
// Two rules one could break it with: a Backend changes nothing outside unless it was called to do
// so (no clean-up by itself, no upsert in Create); and whoever opens a Backend wraps it in
// [Redacting], so that no error text carries a secret away.
package providers
