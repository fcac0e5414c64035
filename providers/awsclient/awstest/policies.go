package awstest

import (
	"encoding/json"
	"strings"
)

// RootPolicy is what the page of the provider aws-iam tells to give to the broker's root account.
const RootPolicy = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Users",
      "Effect": "Allow",
      "Action": [
        "iam:CreateUser", "iam:TagUser", "iam:GetUser", "iam:DeleteUser",
        "iam:CreateAccessKey", "iam:ListAccessKeys", "iam:UpdateAccessKey", "iam:DeleteAccessKey",
        "iam:PutUserPolicy", "iam:ListUserPolicies", "iam:DeleteUserPolicy",
        "iam:AttachUserPolicy", "iam:ListAttachedUserPolicies", "iam:DetachUserPolicy", "iam:ListGroupsForUser",
        "iam:DeleteLoginProfile", "iam:ListMFADevices", "iam:DeactivateMFADevice",
        "iam:ListSSHPublicKeys", "iam:DeleteSSHPublicKey",
        "iam:ListServiceSpecificCredentials", "iam:DeleteServiceSpecificCredential",
        "iam:ListSigningCertificates", "iam:DeleteSigningCertificate"
      ],
      "Resource": "arn:aws:iam::*:user/*brk_*"
    },
    {
      "Sid": "Groups",
      "Effect": "Allow",
      "Action": ["iam:GetGroup", "iam:AddUserToGroup", "iam:RemoveUserFromGroup"],
      "Resource": "arn:aws:iam::*:group/readers"
    },
    {
      "Sid": "Lookups",
      "Effect": "Allow",
      "Action": ["iam:ListUsers", "iam:GetPolicy", "iam:DeleteVirtualMFADevice"],
      "Resource": "*"
    },
    {
      "Sid": "OwnKey",
      "Effect": "Allow",
      "Action": ["iam:CreateAccessKey", "iam:ListAccessKeys", "iam:DeleteAccessKey"],
      "Resource": "arn:aws:iam::*:user/${aws:username}"
    }
  ]
}`

// STSRootPolicy is what the page of the provider aws-sts tells to give to the broker's root account.
const STSRootPolicy = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Roles",
      "Effect": "Allow",
      "Action": ["sts:AssumeRole", "sts:TagSession"],
      "Resource": "arn:aws:iam::*:role/reader"
    },
    {
      "Sid": "OwnKey",
      "Effect": "Allow",
      "Action": ["iam:CreateAccessKey", "iam:ListAccessKeys", "iam:DeleteAccessKey"],
      "Resource": "arn:aws:iam::*:user/${aws:username}"
    }
  ]
}`

// STSDenyPolicy is what the page adds for roles whose sessions the broker is to end before their time.
const STSDenyPolicy = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "EndSessions",
      "Effect": "Allow",
      "Action": ["iam:PutRolePolicy", "iam:ListRolePolicies", "iam:DeleteRolePolicy"],
      "Resource": "arn:aws:iam::*:role/reader"
    }
  ]
}`

// anywhere is a policy without its resources, which moto does not know.
func anywhere(policy string) string {
	var document map[string]any
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		panic(err) // it is ours
	}
	for _, statement := range document["Statement"].([]any) {
		statement.(map[string]any)["Resource"] = "*"
	}
	var text strings.Builder
	if err := json.NewEncoder(&text).Encode(document); err != nil {
		panic(err)
	}
	return text.String()
}
