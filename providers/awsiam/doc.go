// Package awsiam is the provider "aws-iam": IAM users with an access key, each made for one lease.
//
// It refuses users whose names do not begin with the cluster's prefix. Two rules one could break it with: the access
// key is made last, so that a user half made can do nothing; and that a user does not exist is believed only when IAM,
// which is eventually consistent, has said so to two writes with time between, or has let the name be claimed.
package awsiam
