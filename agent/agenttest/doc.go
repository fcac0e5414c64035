// Package agenttest is an API server of Kubernetes for tests of the agent. It knows no rights and no rules of objects but
// those by which two writers find out about each other.
package agenttest
