package broker

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"broker/fsm"
)

// The queue must behave like a plain map of instants that is searched every time.
func TestTaskQueueMatchesMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, model := newTaskQueue(), map[fsm.LeaseID]time.Time{}
		now := time.Unix(1000, 0)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			id := fsm.LeaseID(fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "id")))
			at := now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "in")) * time.Second)
			switch rapid.SampledFrom([]string{"add", "postpone", "done", "take"}).Draw(t, "op") {
			case "add":
				if _, there := model[id]; !there {
					model[id] = at
				}
				q.add(&task{id: id, at: at})
			case "postpone":
				if _, there := model[id]; there {
					model[id] = at
				}
				q.postpone(id, at)
			case "done":
				delete(model, id)
				q.done(id)
			case "take":
				now = now.Add(time.Second)
				due, _ := q.take(now, 3)
				for i, task := range due {
					if model[task.id].After(now) || i > 0 && due[i-1].at.After(task.at) {
						t.Fatalf("took %v at %s, known %v", task, now, model)
					}
				}
				overdue := 0
				for _, at := range model {
					if !at.After(now) {
						overdue++
					}
				}
				if want := min(3, overdue); len(due) != want {
					t.Fatalf("took %d tasks, want %d", len(due), want)
				}
				again := now.Add(time.Second)
				q.giveBack(due, again)
				for _, task := range due {
					model[task.id] = again
				}
			}
			if len(q.byID) != len(model) || len(q.heap) != len(model) {
				t.Fatalf("the queue holds %d tasks (%d waiting), want %d", len(q.byID), len(q.heap), len(model))
			}
		}
	})
}
