package awssts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"broker/providers"
	"broker/providers/awsclient"
)

// Revoke calls a session removed when it can do nothing any more: its lease has ended by AWS's clock, so that its own
// policy denies it everything, or its role does. Until then it says that the session is in the way.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	if len(logins) == 0 {
		return nil
	}
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if err := b.ask(ctx); err != nil {
		return all(logins, err)
	}
	answers := make(map[providers.LoginName]error, len(logins))
	tidied := map[string]bool{}
	for _, login := range logins {
		if _, answered := answers[login.Name]; answered {
			continue
		}
		err := b.checkName(login.Name)
		if err == nil {
			err = b.revoke(ctx, login, tidied)
		}
		if err == nil {
			b.made.Delete(login.Name)
			b.refused.Delete(login.Name)
		}
		answers[login.Name] = err
	}
	return answers
}

// revoke ends one session. tidied are the roles whose old denials have been removed.
func (b *backend) revoke(ctx context.Context, login providers.Login, tidied map[string]bool) error {
	if _, refused := b.refused.Load(login.Name); refused {
		return nil
	}
	end := wholeSecond(login.ExpiresAt)
	ended := !b.Now().Before(end)
	if login.Options.String(optionRevocation) != revocationDeny {
		if ended {
			return nil
		}
		return blocked(login, end, "Wait, or set revocation=deny in the secret, so that later leases can be ended at once. In an emergency the role's console page revokes all its sessions.", nil)
	}
	role, err := b.role(ctx, login)
	switch {
	case ended:
		if err == nil && !tidied[role] {
			tidied[role] = true
			_ = b.tidy(ctx, role) // the next one finds what is left
		}
		return nil
	case err != nil:
		return err
	}
	return b.deny(ctx, login, role, end)
}

// blocked says that a session goes on until its end.
func blocked(login providers.Login, end time.Time, hint string, cause error) error {
	err := fmt.Errorf("session %q goes on until %s: AWS cannot end a single session", login.Name, end.UTC().Format(time.RFC3339))
	if cause != nil {
		err = fmt.Errorf("%w, and its role could not deny it everything: %w", err, cause)
	}
	return &providers.Error{Kind: providers.KindRejected, Blocked: true, Hint: hint, Err: err}
}

// role returns the name of the login's role, when it is one of this account.
func (b *backend) role(ctx context.Context, login providers.Login) (string, error) {
	caller, err := b.Prove(ctx)
	if err != nil {
		return "", err
	}
	arn, err := awsclient.ParseARN(login.Options.String(optionRole))
	if err != nil {
		return "", &providers.Error{Kind: providers.KindRejected, Err: err}
	}
	if arn.Account != caller.Account {
		return "", blocked(login, wholeSecond(login.ExpiresAt), "Use a connection that works as an identity of the role's account.",
			fmt.Errorf("the role is in account %s, the connection leads to %s", arn.Account, caller.Account))
	}
	return arn.Name(), nil
}

// deny puts a policy into the role that denies the session everything.
func (b *backend) deny(ctx context.Context, login providers.Login, role string, end time.Time) error {
	document, err := denial(login.Name)
	if err != nil {
		return err
	}
	input := &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String(denialName(login.Name, end)), PolicyDocument: &document}
	_, err = b.IAM.PutRolePolicy(ctx, input)
	if awsclient.HasCode(err, "LimitExceeded") {
		if err := b.tidy(ctx, role); err != nil {
			return err
		}
		_, err = b.IAM.PutRolePolicy(ctx, input)
	}
	switch {
	case err == nil, awsclient.Absent(err): // sessions of a role that is gone can do nothing
		return nil
	case awsclient.HasCode(err, "LimitExceeded"):
		return blocked(login, end, "A role holds 10 240 characters of inline policies: make the role's own managed ones, or the leases shorter.", errors.New("it has no room for more inline policies"))
	}
	return awsclient.Classify(err, fmt.Sprintf("denying session %q everything", login.Name))
}

const untilMark = ".until."

// denialName is the name of the policy that denies a session everything, which says how long it is needed.
func denialName(name providers.LoginName, end time.Time) string {
	return string(name) + untilMark + strconv.FormatInt(end.Unix(), 10)
}

// tidy removes from a role the denials of this cluster's sessions that have ended.
func (b *backend) tidy(ctx context.Context, role string) error {
	var old []string
	pages := iam.NewListRolePoliciesPaginator(b.IAM, &iam.ListRolePoliciesInput{RoleName: &role})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awsclient.Classify(err, "listing the inline policies of role "+role)
		}
		for _, name := range page.PolicyNames {
			login, until, found := strings.Cut(name, untilMark)
			seconds, err := strconv.ParseInt(until, 10, 64)
			if found && err == nil && strings.HasPrefix(login, b.env.Prefix) && b.Now().Unix() > seconds {
				old = append(old, name)
			}
		}
	}
	for _, name := range old {
		_, err := b.IAM.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &name})
		if err != nil && !awsclient.Absent(err) {
			return awsclient.Classify(err, "removing an old denial from role "+role)
		}
	}
	return nil
}
