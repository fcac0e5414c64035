package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
)

// Bounds of JSON: what people and programs send has a tenth of them, and what is parsed is larger in memory than in the
// body.
const (
	maxDepth  = 32
	maxValues = 10_000
)

// strict refuses JSON that is nested too deeply or has too many values, an object that has a member twice, since readers
// disagree on which one counts, and whatever stands behind the value. It goes through the text once, keeps the names
// of the objects that are open, and builds nothing.
func strict(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	var open []map[string]bool // the names seen in each object; nil: an array
	for values := 0; ; {
		if n := len(open); n > 0 && open[n-1] != nil && decoder.More() {
			token, err := decoder.Token()
			if err != nil {
				return withoutInput(err)
			}
			name, _ := token.(string)
			if open[n-1][name] {
				return &jsonError{"an object has the member " + strconv.Quote(cut(name, 64)) + " twice"}
			}
			open[n-1][name] = true
		}
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && values > 0 && len(open) == 0 {
			return nil
		}
		if err != nil {
			return withoutInput(err)
		}
		delimiter, _ := token.(json.Delim)
		if delimiter == '}' || delimiter == ']' {
			open = open[:len(open)-1]
			continue
		}
		if values > 0 && len(open) == 0 {
			return &jsonError{"the body is one JSON value, and something stands behind it"}
		}
		if values++; values > maxValues {
			return &jsonError{"the body has more than " + strconv.Itoa(maxValues) + " values"}
		}
		if delimiter == '{' || delimiter == '[' {
			if len(open) == maxDepth {
				return &jsonError{"the body is nested more than " + strconv.Itoa(maxDepth) + " deep"}
			}
			var names map[string]bool
			if delimiter == '{' {
				names = map[string]bool{}
			}
			open = append(open, names)
		}
	}
}
