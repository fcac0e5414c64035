// Package sshtest runs OpenSSH's sshd for tests: on a free loopback port, as an unprivileged user, trusting whatever
// authorities and refusing whatever certificates it is told. The program sshd comes from the distribution's packages
// (openssh-server).
package sshtest
