package rotate

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Lent is the credential that "brokerctl run --at-max signal=HUP" lends to this program.
type Lent struct {
	path string

	mu     sync.Mutex
	values map[string]string
}

// Borrow reads the values and reads them again at every SIGHUP, for as long as the program lives.
func Borrow() (*Lent, error) {
	l := &Lent{path: os.Getenv("BROKER_VALUES_FILE")}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	if err := l.read(); err != nil {
		return nil, err
	}
	go func() {
		for range hangup {
			if err := l.read(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}()
	return l, nil
}

func (l *Lent) read() error {
	content, err := os.ReadFile(l.path)
	if err != nil {
		return fmt.Errorf("reading the lent values: %w", err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(content, &values); err != nil {
		return fmt.Errorf("the lent values are no JSON object of texts") // the cause would quote them
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values = values
	return nil
}

// Value returns the value of one of the secrets' keys.
func (l *Lent) Value(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.values[key]
}
