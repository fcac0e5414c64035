package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"broker/api/types"
	"broker/fsm"
)

// shownStates are the words that a lease's state is chosen by.
func shownStates() []string {
	return []string{"pending", "active", "revoking", "revoked", "expired", "failed", "overdue", "stuck", "missing", "forgotten"}
}

// selectorFrom reads a selector; fields to blame are named with the prefix. A value that can choose
// nothing is refused rather than answered with an empty list, which would read as "there is none".
func selectorFrom(prefix string, in types.LeaseSelector, now time.Time) (fsm.LeaseSelector, error) {
	out := fsm.LeaseSelector{
		Secret:        fsm.SecretName(in.Secret),
		Connection:    fsm.ConnectionName(in.Connection),
		Account:       fsm.AccountName(in.Account),
		Username:      in.Username,
		Token:         fsm.TokenAccessor(in.Token),
		Operation:     fsm.OperationID(in.Operation),
		IssuedAfter:   fsm.At(in.IssuedAfter),
		IssuedBefore:  fsm.At(in.IssuedBefore),
		ExpiresAfter:  fsm.At(in.ExpiresAfter),
		ExpiresBefore: fsm.At(in.ExpiresBefore),
		Now:           fsm.At(now),
	}
	if len(in.ID) > types.MaxPage {
		return out, invalid(prefix+"id", fmt.Sprintf("must be %d at the most", types.MaxPage))
	}
	for _, id := range in.ID {
		out.IDs = append(out.IDs, fsm.LeaseID(id))
	}
	for _, text := range in.Environment {
		if !fsm.ValidPattern(text) {
			return out, invalid(prefix+"environment", "must be app/env, app/* or *")
		}
		out.Environments = append(out.Environments, fsm.Pattern(text))
	}
	if env, name := out.Secret.Split(); in.Secret != "" && (!fsm.ValidEnvironmentName(string(env)) || !fsm.ValidName(name)) {
		return out, invalid(prefix+"secret", "must be a full name: app/env/name")
	}
	for _, state := range in.State {
		if !slices.Contains(shownStates(), state) {
			return out, invalid(prefix+"state", "must be one of "+strings.Join(shownStates(), ", "))
		}
		out.States = append(out.States, state)
	}
	for _, label := range in.Label {
		key, value, ok := strings.Cut(label, "=")
		if !ok || !fsm.ValidLabelKey(key) {
			return out, invalid(prefix+"label", "must be key=value")
		}
		if out.Labels == nil {
			out.Labels = map[string]string{}
		}
		out.Labels[key] = value
	}
	return out, nil
}

// choosesAll reports whether no field of the selector is given. It looks at all of them, so that one
// added later counts.
func choosesAll(selector fsm.LeaseSelector) bool {
	selector.Now = 0
	return reflect.ValueOf(selector).IsZero()
}

// selectorOf shows a selector.
func selectorOf(in fsm.LeaseSelector) types.LeaseSelector {
	out := types.LeaseSelector{
		Secret:        string(in.Secret),
		Connection:    string(in.Connection),
		Account:       string(in.Account),
		Username:      in.Username,
		State:         in.States,
		Token:         string(in.Token),
		Operation:     string(in.Operation),
		IssuedAfter:   in.IssuedAfter.Time(),
		IssuedBefore:  in.IssuedBefore.Time(),
		ExpiresAfter:  in.ExpiresAfter.Time(),
		ExpiresBefore: in.ExpiresBefore.Time(),
	}
	for _, id := range in.IDs {
		out.ID = append(out.ID, string(id))
	}
	for _, pattern := range in.Environments {
		out.Environment = append(out.Environment, string(pattern))
	}
	for key, value := range in.Labels {
		out.Label = append(out.Label, key+"="+value)
	}
	slices.Sort(out.Label)
	return out
}
