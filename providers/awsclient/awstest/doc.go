// Package awstest runs what answers as AWS does, for tests and scripts: [Server] is moto, somebody else's IAM, STS and
// S3, and [Fake] is a small IAM and STS of our own for what moto does not do: inactive keys, conditions, boundaries,
// session policies, pages, signatures that expire, answers that are old, late, lost or refused.
//
// It is no part of the broker.
package awstest
