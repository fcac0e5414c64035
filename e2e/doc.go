// Package e2e tests the product as people use it: real brokerd processes started by
// scripts/devcluster, a real PostgreSQL, SIGKILL, and the command line.
package e2e
