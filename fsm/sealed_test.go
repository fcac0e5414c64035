package fsm

import (
	"encoding/base64"
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every record with a sealed value is among the places that an exchange of the sealing key reaches, and every command
// that brings one says so.
func TestEverySealedValueIsReached(t *testing.T) {
	places, err := os.ReadFile("sealed.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sealed, methods := []string{}, map[string][]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						for _, name := range f.Names {
							if name.Name == "Sealed" {
								sealed = append(sealed, n.Name.Name)
							}
						}
					}
				}
			case *ast.FuncDecl:
				if n.Recv != nil {
					if star, ok := n.Recv.List[0].Type.(*ast.StarExpr); ok {
						name := star.X.(*ast.Ident).Name
						methods[name] = append(methods[name], n.Name.Name)
					}
				}
			}
			return true
		})
	}
	parts := []string{"SystemUpdate", "SealedValue", "ResealedValue"} // of commands, or of what is said of a place
	if len(sealed) < 6 {
		t.Fatalf("found only %v", sealed)
	}
	for _, name := range sealed {
		switch {
		case slices.Contains(parts, name):
		case slices.Contains(methods[name], "commandType"):
			if !slices.Contains(methods[name], "sealedValues") {
				t.Errorf("command %s brings a sealed value and has no method sealedValues (sealing_key.go)", name)
			}
		case !strings.Contains(string(places), "func(r *"+name+") *[]byte"):
			t.Errorf("record %s has a sealed value and is not among sealedPlaces (sealed.go)", name)
		}
	}
}

func sealedWith(id uint32, text string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{1}, id), text...)
}

// A running cluster that goes on with an older state keeps its own sealing keys; what they do not open is sealed anew.
// On bare machines what the lost nodes held is forgotten.
func TestLifeAndSealingKeys(t *testing.T) {
	scenario, err := os.ReadFile("testdata/sealed.txt")
	if err != nil {
		t.Fatal(err)
	}
	play := func() *player {
		p := newPlayer(t)
		p.play(string(scenario), false)
		p.step(`2s prepare_lease {}`) // refused; an entry all the same
		p.step(`3s update_connection {"Name":"orders-db","System":{"New":true,"Number":2,"Settings":"e30=","Sealed":"` +
			base64.StdEncoding.EncodeToString(sealedWith(0xb2, "newer")) + `"}}`)
		return p
	}
	p := play()
	present := &Sealing{
		Keys: []SealingKey{
			{Number: 1, ID: 0xa1, State: SealingRetired, CreatedAt: epoch}, {Number: 9, ID: 0xb2, State: SealingPrimary, Holders: []string{"n1", "n2"}},
		},
		KeyCheck: sealedWith(0xb2, "check"), Recovery: &Recovery{Wrapped: []byte("wB")},
	}
	var anew []SealedKind
	present.Reseal = func(s SealedValue) ([]byte, error) {
		anew = append(anew, s.Kind)
		return sealedWith(0xb2, string(s.Sealed[5:])), nil
	}
	mark := &Restored{At: epoch.Add(time.Hour)}
	belongs := &Belonging{Authorities: []Authority{{Number: 8, Sealed: sealedWith(0xb2, "authority")}}}
	if err := p.state.BeginLife(Life{Index: lifeSpan, Term: termsSpan, Restored: mark, Belonging: belongs, Sealing: present}); err != nil {
		t.Fatal(err)
	}
	mustView(t, p.state, func(v *View) {
		if by := v.SealedBy(); len(by) != 1 || by[0xb2] != 3 { // the key check, the authority, the connection
			t.Errorf("values by key: %v", by)
		}
		if keys := v.SealingKeys(); len(keys) != 2 || keys[1].Number != 9 || len(keys[1].Holders) != 2 || string(v.Meta().Recovery.Wrapped) != "wB" {
			t.Errorf("keys: %+v", keys)
		}
		if c, _ := v.Connection("orders-db"); len(anew) != 0 || c.System == 2 {
			t.Errorf("sealed anew: %v", anew) // the old system is gone, and the new one is sealed with a live key
		}
	})

	p = play()
	p.step(`4s create_connection {"Name":"other","Settings":"e30=","Sealed":"` + base64.StdEncoding.EncodeToString(sealedWith(0xa1, "old")) + `"}`)
	if err := p.state.BeginLife(Life{Index: lifeSpan, Term: termsSpan, Restored: mark, Belonging: belongs, Sealing: present}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(anew, []SealedKind{SealedSystem}) {
		t.Errorf("sealed anew: %v", anew)
	}
	mustView(t, p.state, func(v *View) {
		if by := v.SealedBy(); by[0xa1] != 0 {
			t.Errorf("values by key: %v", by)
		}
	})

	p = play()
	if err := p.state.BeginLife(Life{Index: lifeSpan, Term: termsSpan, Restored: mark, Node: Node{Name: "r1", Key: []byte("k")}}); err != nil {
		t.Fatal(err)
	}
	mustView(t, p.state, func(v *View) {
		if keys := v.SealingKeys(); len(keys) != 1 || len(keys[0].Holders) != 0 {
			t.Errorf("keys on bare machines: %+v", keys)
		}
	})
}
