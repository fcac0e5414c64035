package fsm

import (
	"reflect"
	"strings"
	"testing"
)

// No two fields of a struct have one key: the codec would leave both out without a word, and what a node was
// told would be gone.
func TestKeysAreUnique(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(typ.Elem())
			return
		case reflect.Map:
			walk(typ.Key())
			walk(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[typ] || typ.PkgPath() != reflect.TypeFor[Meta]().PkgPath() {
			return
		}
		seen[typ] = true
		keys := map[string]string{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			tag, ok := f.Tag.Lookup("cbor")
			if !ok {
				continue
			}
			key, _, _ := strings.Cut(tag, ",")
			if other, taken := keys[key]; taken {
				t.Errorf("%s: %s and %s both have key %s", typ.Name(), other, f.Name, key)
			}
			keys[key] = f.Name
			walk(f.Type)
		}
	}
	for _, one := range []any{
		Command{}, Meta{}, Environment{}, Connection{}, System{}, Secret{}, Account{}, Token{}, Lease{}, Lock{}, Operation{},
		Orphan{}, Sweep{}, Node{}, JoinToken{}, Authority{}, GossipKey{}, Membership{}, Event{}, keyRecord{}, reply{},
		Group{}, ClientSecret{}, Password{}, Wrapped{},
	} {
		walk(reflect.TypeOf(one))
	}
	for _, body := range newBody {
		walk(reflect.TypeOf(body()))
	}
	if len(seen) < 60 {
		t.Errorf("looked at %d types only", len(seen))
	}
}
