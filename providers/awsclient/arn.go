package awsclient

import (
	"fmt"
	"strings"
)

// PartitionOf returns the partition that a region belongs to.
func PartitionOf(region string) string {
	for prefix, partition := range map[string]string{
		"us-gov-": "aws-us-gov", "cn-": "aws-cn", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b",
		"eu-isoe-": "aws-iso-e", "us-isof-": "aws-iso-f", "eusc-": "aws-eusc",
	} {
		if strings.HasPrefix(region, prefix) {
			return partition
		}
	}
	return "aws"
}

// ARN is the name of something at AWS, taken apart.
type ARN struct {
	Partition string
	Service   string
	Account   string // "aws" for what AWS itself owns
	Resource  string // "user/path/name"
}

// ParseARN takes an ARN apart.
func ParseARN(text string) (ARN, error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return ARN{}, fmt.Errorf("%q is no ARN", text)
	}
	return ARN{Partition: parts[1], Service: parts[2], Account: parts[4], Resource: parts[5]}, nil
}

// Name returns the last part of the resource: the name of a user, group or role whose path is left out.
func (a ARN) Name() string { return a.Resource[strings.LastIndexByte(a.Resource, '/')+1:] }

// PartitionOfARN returns the partition of an ARN, "" when it is none.
func PartitionOfARN(text string) string {
	arn, err := ParseARN(text)
	if err != nil {
		return ""
	}
	return arn.Partition
}
