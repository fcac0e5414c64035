package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// shortestToken is how long a text is at least that could be a token: less would be found in any sentence.
const shortestToken = 8

// tokens holds the client's token, which Config.Refresh may exchange.
type tokens struct {
	refreshing sync.Mutex // held while another token is fetched, so that one of many callers does it

	mu      sync.Mutex
	current string
	former  []string // that errors must not hold either
}

func (t *tokens) get() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

func (t *tokens) set(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if token == t.current {
		return
	}
	// The one before is enough: a call lives for seconds, a token for hours.
	t.former, t.current = []string{t.current}, token
}

// refresh fetches a token in place of one that the broker did not take. It does nothing when another call did so
// meanwhile.
func (c *Client) refresh(ctx context.Context, refused string) error {
	c.tokens.refreshing.Lock()
	defer c.tokens.refreshing.Unlock()
	if c.tokens.get() != refused {
		return nil
	}
	token, err := c.config.Refresh(ctx)
	if err != nil {
		return fmt.Errorf("getting another token: %w", err)
	}
	c.tokens.set(token)
	return nil
}

// redacted hides the token in an error's text; the cause stays reachable only when it does not hold it.
func (c *Client) redacted(err error) error {
	if err == nil {
		return nil
	}
	c.tokens.mu.Lock()
	known := append([]string{c.tokens.current}, c.tokens.former...)
	c.tokens.mu.Unlock()
	text := err.Error()
	for _, token := range known {
		if len(token) >= shortestToken {
			text = strings.ReplaceAll(text, token, "[redacted]")
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}
