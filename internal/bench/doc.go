// Command bench measures the broker: three brokerd processes on loopback, a real PostgreSQL, clients that
// speak to a follower. scripts/bench builds and runs it.
//
// What it compares with is measured in the same run, turn by turn: the same statements straight against
// the same server. CPU is what the kernel counted for the processes, so it holds on a machine that others
// use too; absolute rates do not.
//
// Two ways to break it: a client that costs more than what it measures (see conn), and a figure without
// the one it is to be compared with.
package main
