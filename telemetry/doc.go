// Package telemetry shows how a node does: metrics for Prometheus and traces for OpenTelemetry. It implements
// the observers that broker, cluster and api declare, and reads the rest when it is asked.
//
// It decides and changes nothing; a node without it works the same. Two ways to break it: a label whose values
// are not bounded by the configuration (a lease, an account, a path with ids), and a scrape that reads as many
// records as there are leases.
package telemetry
