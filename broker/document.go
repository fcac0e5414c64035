package broker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"broker/fsm"
	"broker/providers"
)

const (
	// documentLook is for how long a document is served before the state is looked at again. Everybody may ask for
	// documents, so asking often must cost little.
	documentLook = 10 * time.Second

	// documentAge is the age at which a document that says when it was made is made anew, though nothing changed.
	documentAge = 10 * time.Minute

	// documentSlack is for how long what was withdrawn is listed beyond its end: those who check have clocks of their own.
	documentSlack = time.Hour
)

// ErrNoDocument is returned when nothing of that name is published, whatever the reason.
var ErrNoDocument = errors.New("there is no such document")

// Document is what a connection publishes for those who check its credentials.
type Document struct {
	providers.Document
	Content []byte
	MadeAt  time.Time
}

// documents are the documents that were asked for lately, as this node made them. The zero value holds none.
type documents struct {
	mu   sync.Mutex
	kept map[documentKey]*keptDocument
}

type documentKey struct {
	connection fsm.ConnectionName
	name       string
}

// keptDocument is a document and what it was made of. Whoever makes it anew holds the mutex, so that one does.
type keptDocument struct {
	mu       sync.Mutex
	document Document
	of       [sha256.Size]byte
	lookedAt time.Time
}

// Documents lists what a connection publishes. It needs no leader. Errors: ErrNoDocument when that is nothing.
func (b *Broker) Documents(name fsm.ConnectionName) ([]providers.Document, error) {
	_, publisher, err := b.publisher(name)
	if err != nil {
		return nil, err
	}
	return publisher.Documents(), nil
}

// Document returns what a connection publishes under a name, as of some seconds ago. It needs no leader: it is made of the
// state that this node has. Errors: ErrNoDocument.
func (b *Broker) Document(name fsm.ConnectionName, document string) (Document, error) {
	connection, publisher, err := b.publisher(name)
	if err != nil {
		b.documents.forget(name)
		return Document{}, err
	}
	described := publisher.Documents()
	i := slices.IndexFunc(described, func(d providers.Document) bool { return d.Name == document })
	if i < 0 {
		return Document{}, ErrNoDocument
	}
	kept := b.documents.keep(documentKey{name, document})
	kept.mu.Lock()
	defer kept.mu.Unlock()
	now := b.Now()
	if age := now.Sub(kept.lookedAt); age >= 0 && age < documentLook {
		return kept.document, nil
	}
	systems, of, err := b.published(connection, now)
	if err != nil {
		return Document{}, err
	}
	if age := now.Sub(kept.document.MadeAt); kept.of != of || age < 0 || age >= documentAge {
		content, err := publisher.Publish(document, systems, now)
		if err != nil {
			return Document{}, fmt.Errorf("making the document %q of connection %q: %w", document, name, err)
		}
		kept.document, kept.of = Document{described[i], content, now}, of
	}
	kept.lookedAt = now
	return kept.document, nil
}

func (b *Broker) publisher(name fsm.ConnectionName) (connection fsm.Connection, publisher providers.Publisher, err error) {
	var found bool
	if err := b.peek(func(v *fsm.View) { connection, found = v.Connection(name) }); err != nil {
		return connection, nil, err
	}
	kind, _ := b.Providers.Get(connection.Provider)
	publisher, publishes := kind.(providers.Publisher)
	if !found || !publishes {
		return connection, nil, ErrNoDocument
	}
	return connection, publisher, nil
}

// published reads what a connection's documents are made of, and a hash of it.
func (b *Broker) published(connection fsm.Connection, now time.Time) (systems []providers.PublishedSystem, of [sha256.Size]byte, err error) {
	var records []fsm.System
	var withdrawn []fsm.Lease
	if err := b.view(func(v *fsm.View) {
		records = v.Systems(connection.Name)
		withdrawn = v.WithdrawnLeases(connection.Name, fsm.At(now.Add(-documentSlack)))
	}); err != nil {
		return nil, of, err
	}
	slices.SortFunc(records, func(x, y fsm.System) int { // the present one first, then the newest
		switch connection.System {
		case x.Number:
			return -1
		case y.Number:
			return 1
		}
		return int(y.Number) - int(x.Number)
	})
	var made bytes.Buffer
	place := map[uint64]int{}
	for _, record := range records {
		settings, err := b.settings(record)
		if err != nil {
			return nil, of, err
		}
		place[record.Number] = len(systems)
		systems = append(systems, providers.PublishedSystem{Settings: settings})
		fmt.Fprintf(&made, "system %d %d\n", record.Number, record.Version)
	}
	for _, lease := range withdrawn {
		if lease.Cause == fsm.CauseExpire && lease.ExpiresAt <= fsm.At(now) {
			continue // its credential has come to the end that it was made with
		}
		i, known := place[lease.System]
		if !known {
			i = len(systems)
			place[lease.System] = i
			systems = append(systems, providers.PublishedSystem{})
		}
		systems[i].Ended = append(systems[i].Ended, providers.EndedLogin{Name: providers.LoginName(lease.Username), At: lease.RevokingAt.Time()})
		fmt.Fprintf(&made, "ended %s\n", lease.ID)
	}
	return systems, sha256.Sum256(made.Bytes()), nil
}

func (d *documents) keep(key documentKey) *keptDocument {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil {
		d.kept = map[documentKey]*keptDocument{}
	}
	kept := d.kept[key]
	if kept == nil {
		kept = &keptDocument{}
		d.kept[key] = kept
	}
	return kept
}

// forget drops the documents of a connection that is gone.
func (d *documents) forget(name fsm.ConnectionName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.kept {
		if key.connection == name {
			delete(d.kept, key)
		}
	}
}
