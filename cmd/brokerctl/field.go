package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// answers has --field be checked against what the command prints, before it does anything.
func (a *app) answers(cmd *cobra.Command, object any) {
	cmd.PreRunE = func(*cobra.Command, []string) error { return a.checkAnswer(object) }
}

// checkAnswer refuses a --field that what will be printed does not have.
func (a *app) checkAnswer(object any) error {
	if a.field == "" {
		return nil
	}
	_, err := checkField(a.field, reflect.TypeOf(object))
	return err
}

// checkField refuses a field that no object of the type has. What has names of people's own, such as
// labels, is open: whether it is there shows only the object.
func checkField(path string, t reflect.Type) (open bool, err error) {
	for name := range strings.SplitSeq(path, ".") {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case t.Kind() == reflect.Map || t.Kind() == reflect.Interface:
			return true, nil
		case t.Kind() != reflect.Struct || isText(t):
			return false, usage("there is no field %q", path)
		}
		members := membersOf(t)
		next, ok := members[name]
		if !ok {
			return false, noField(path, slices.Sorted(maps.Keys(members)))
		}
		t = next
	}
	return false, nil
}

// noField says that a field does not exist, and which do.
func noField(path string, names []string) *usageError {
	err := usage("there is no field %q", path)
	err.hint = "there is " + strings.Join(names, ", ")
	if likely := nearest(path, names); likely != "" {
		err.hint = fmt.Sprintf("did you mean %q? %s", likely, err.hint)
	}
	return err
}

// isText reports whether values of the type are printed as one text or number, whatever they consist of.
func isText(t reflect.Type) bool {
	for _, one := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Implements(one) {
			return true
		}
	}
	return false
}

// membersOf returns the types of a struct's members by their names in JSON.
func membersOf(t reflect.Type) map[string]reflect.Type {
	members := map[string]reflect.Type{}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			for inner, one := range membersOf(field.Type) {
				members[inner] = one
			}
		case field.IsExported() && name != "" && name != "-":
			members[name] = field.Type
		}
	}
	return members
}
