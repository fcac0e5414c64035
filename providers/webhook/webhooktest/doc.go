// Package webhooktest runs the example of a webhook service (providers/webhook/example) as a process of its own, for
// tests and scripts. It is no part of the broker.
package webhooktest
