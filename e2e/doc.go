// Package e2e tests the product as people use it: real brokerd processes started by
// scripts/devcluster, a real PostgreSQL, SIGKILL, and the command line.
//
// Tests of networks give every node a host of its own: a network namespace. TestPartitions separates the nodes in
// every way that three can be while clients work, and has porcupine judge what these saw; model_test.go is what
// leases ought to do. Where the kernel gives no namespaces hosts are addresses of loopback and nodes reach each other
// through proxies (internal/faultproxy), which are also what delays and loses.
package e2e
