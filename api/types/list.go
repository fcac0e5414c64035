package types

// Page is one page of a list.
type Page[T any] struct {
	Items      []T      `json:"items" nullable:"false"`
	NextCursor string   `json:"next_cursor,omitempty" doc:"Send it as cursor to get the next page; absent on the last"`
	Warnings   []string `json:"warnings,omitempty"`
}

// MaxPage is the most items one page holds.
const MaxPage = 1000
