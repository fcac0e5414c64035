package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/client/contexts"
	"broker/api/types"
)

// errNoAddress is returned when nothing says where a broker is.
var errNoAddress = &hintedError{
	err:  errors.New("nothing says where the broker is"),
	hint: `"brokerctl login URL" remembers a broker, BROKER_ADDR names one; "brokerd dev" begins with one to try out`,
}

// target is where a broker is and how to log in.
type target struct {
	addresses []string
	token     string
	caCert    []byte
	context   string // the context's name; empty: flags or variables said where
}

// find puts the target together: flags before variables before the context in use. An address from
// a flag or variable is never paired with a context's token: it may belong to another cluster.
func (a *app) find() (target, error) {
	var (
		out    target
		caPath string
		err    error
	)
	if a.address != "" && a.context != "" {
		return out, usage("--addr and --context exclude each other")
	}
	addresses := first(a.address, a.getenv("BROKER_ADDR"))
	if addresses == "" || a.context != "" {
		context, ok, err := a.chosenContext()
		switch {
		case err != nil:
			return out, err
		case !ok:
			return out, errNoAddress
		}
		out.addresses, caPath, out.context = context.All(), context.CACert, context.name
		if out.token, err = context.ReadToken(); err != nil {
			return out, err
		}
	} else {
		for one := range strings.SplitSeq(addresses, ",") {
			if one = strings.TrimSpace(one); one != "" {
				out.addresses = append(out.addresses, one)
			}
		}
	}
	token, err := a.token()
	if err != nil {
		return out, err
	}
	if token != "" {
		out.token = token
	}
	if path := first(a.caCert, a.getenv("BROKER_CACERT"), caPath); path != "" {
		if out.caCert, err = os.ReadFile(path); err != nil {
			return out, fmt.Errorf("reading the CA file: %w", err)
		}
	}
	return out, nil
}

// token reads the token that a flag or variable names. It is no flag itself: others could see it. A
// context asked for by name brings its own, so that variables of another cluster do not interfere.
func (a *app) token() (string, error) {
	path := a.tokenFile
	if path == "" && a.context == "" {
		if token := strings.TrimSpace(a.getenv("BROKER_TOKEN")); token != "" {
			return token, nil
		}
		path = a.getenv("BROKER_TOKEN_FILE")
	}
	if path == "" {
		return "", nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the token file: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// namedContext is a context with its name.
type namedContext struct {
	contexts.Context
	name string
}

func (a *app) chosenContext() (chosen namedContext, ok bool, err error) {
	path, err := contexts.Path(a.getenv)
	if err != nil {
		if a.context == "" {
			return chosen, false, nil
		}
		return chosen, false, err
	}
	file, err := contexts.Load(path)
	if err != nil {
		return chosen, false, err
	}
	chosen.name, chosen.Context, ok, err = file.Chosen(a.context)
	return chosen, ok, err
}

// client returns a client for the target.
func (a *app) client() (*client.Client, error) {
	where, err := a.find()
	if err != nil {
		return nil, err
	}
	return a.clientFor(where)
}

func (a *app) clientFor(where target) (*client.Client, error) {
	a.used = where
	made, err := client.New(client.Config{
		Addresses: where.addresses,
		Token:     where.token,
		CACert:    where.caCert,
		Timeout:   a.timeout,
		UserAgent: "brokerctl/" + version(),

		Consistency: types.Consistency(a.reading),
		MaxStale:    a.maxStale,
	})
	if err != nil {
		return nil, &usageError{err: err}
	}
	return made, nil
}

func first(texts ...string) string {
	for _, one := range texts {
		if one != "" {
			return one
		}
	}
	return ""
}

// patience is how long a command waits without a word for a broker that does not answer.
const patience = 2 * time.Second

// waiting decides whether a call goes on that has no final answer yet, and says that it waits. A broker of
// which no node can be reached is down, and will hardly come up while somebody watches; one that has no
// leader is about to have one. A --timeout was meant.
func (a *app) waiting(waited time.Duration, unanswered error) (goOn bool) {
	if waited < patience {
		return true
	}
	if client.Refused(unanswered) && !a.timeoutGiven {
		return false
	}
	if a.interactive && a.saidWaiting.CompareAndSwap(false, true) {
		why := ""
		if unanswered != nil {
			why = ": " + clean(unanswered.Error())
		}
		fmt.Fprintf(a.err, "waiting for the broker, at most %s%s\n", types.Duration(a.timeout), why)
	}
	return true
}
