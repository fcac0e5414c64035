package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// points makes checkpoints: each index with the letter of its hash.
func points(text string) (list []Checkpoint) {
	for i := 0; i+1 < len(text); i += 3 {
		list = append(list, Checkpoint{Index: uint64(text[i] - '0'), Hash: []byte{text[i+1]}})
	}
	return list
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		mine, theirs string
		known        bool
		index        uint64
		agreed       uint64
	}{
		"the same":             {"1a 2b 3c", "1a 2b 3c", true, 0, 0},
		"nothing to compare":   {"1a 2b", "3c 4d", false, 0, 0},
		"no answer yet":        {"1a 2b", "", false, 0, 0},
		"one is behind":        {"1a 2b 3c", "1a 2b", true, 0, 0},
		"one is ahead":         {"2b 3c", "1a 2b 3c 4d", true, 0, 0},
		"another since 3":      {"1a 2b 3c 4d", "1a 2b 3x 4y", true, 3, 2},
		"and one is behind":    {"1a 2b 3c 4d", "1a 2b 3x", true, 3, 2},
		"another since always": {"2b 3c", "2x 3y 4z", true, 2, 0},
		"gaps":                 {"1a 3c 7f", "1a 2b 3x 5y", true, 3, 1},
		"right since restart":  {"1a 2b 4d", "1a 2x 4d", true, 0, 0},
	} {
		d, known := compare("n2", points(c.mine), points(c.theirs))
		var index, agreed uint64
		if d != nil {
			index, agreed = d.Index, d.Agreed
		}
		if known != c.known || index != c.index || agreed != c.agreed {
			t.Errorf("%s: known %v, differs at %d, agrees at %d", name, known, index, agreed)
		}
	}
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		answers map[string]string // mine are n1's
		voters  []string
		want    ruling
	}{
		"all the same":       {map[string]string{"n1": "1a 2b", "n2": "1a 2b", "n3": "1a 2b"}, []string{"n1", "n2", "n3"}, ruling{true, 2, []string{"n1", "n2", "n3"}, nil}},
		"another is wrong":   {map[string]string{"n1": "1a 2b", "n2": "1a 2x", "n3": "1a 2b"}, []string{"n1", "n2", "n3"}, ruling{true, 2, []string{"n1", "n3"}, []string{"n2"}}},
		"I am wrong":         {map[string]string{"n1": "1a 2x", "n2": "1a 2b", "n3": "1a 2b"}, []string{"n1", "n2", "n3"}, ruling{true, 2, []string{"n2", "n3"}, []string{"n1"}}},
		"one does not say":   {map[string]string{"n1": "1a 2x", "n2": "1a 2b"}, []string{"n1", "n2", "n3"}, ruling{true, 1, []string{"n1", "n2"}, nil}},
		"nobody knows":       {map[string]string{"n1": "2x", "n2": "2b"}, []string{"n1", "n2"}, ruling{}},
		"three states":       {map[string]string{"n1": "2x", "n2": "2b", "n3": "2c"}, []string{"n1", "n2", "n3"}, ruling{}},
		"I am ahead":         {map[string]string{"n1": "1x 2y 3z", "n2": "1a 2b", "n3": "1a"}, []string{"n1", "n2", "n3"}, ruling{true, 1, []string{"n2", "n3"}, []string{"n1"}}},
		"I have no vote":     {map[string]string{"n1": "1x", "n2": "1a", "n3": "1a"}, []string{"n2", "n3", "n4"}, ruling{true, 1, []string{"n2", "n3"}, []string{"n1"}}},
		"two have no vote":   {map[string]string{"n1": "1a", "n2": "1x", "n3": "1x"}, []string{"n1"}, ruling{true, 1, []string{"n1"}, []string{"n2", "n3"}}},
		"alone":              {map[string]string{"n1": "1a"}, []string{"n1"}, ruling{true, 1, []string{"n1"}, nil}},
		"nothing is applied": {map[string]string{"n1": "", "n2": ""}, []string{"n1", "n2"}, ruling{}},
	} {
		answers := map[string][]Checkpoint{}
		for id, text := range c.answers {
			answers[id] = points(text)
		}
		if d := cmp.Diff(c.want, judge(answers["n1"], answers, c.voters), cmp.AllowUnexported(ruling{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// What was found stays until a comparison says otherwise, or the node is no member any more.
func TestDivergenceStays(t *testing.T) {
	var b stateBook
	now := time.Now()
	members := []string{"n1", "n2", "n3"}
	wrong := ruling{true, 5, []string{"n1", "n3"}, []string{"n2"}}
	begun, over := b.settle("n1", members, map[string]*Divergence{"n2": {Node: "n2", Index: 5, Agreed: 4}, "n3": nil}, wrong, now)
	if len(begun) != 1 || len(over) != 0 || begun[0].Wrong != "n2" || !begun[0].Since.Equal(now) {
		t.Fatalf("found %v, over %v", begun, over)
	}
	// It goes on, and where it began is not among what is compared any more.
	begun, _ = b.settle("n1", members, map[string]*Divergence{"n2": {Node: "n2", Index: 9}}, ruling{}, now.Add(time.Hour))
	if d := b.divergences(); len(begun) != 0 || len(d) != 1 || d[0].Index != 5 || d[0].Agreed != 4 || d[0].Wrong != "n2" || !d[0].Since.Equal(now) {
		t.Errorf("found %v, known %v", begun, d)
	}
	if _, over = b.settle("n1", members, nil, ruling{}, now); len(over) != 0 {
		t.Error("a node out of reach became right")
	}
	if _, over = b.settle("n1", members, map[string]*Divergence{"n2": nil}, ruling{}, now); len(over) != 1 || len(b.divergences()) != 0 {
		t.Error("a node that is right again is still reported")
	}
	b.settle("n1", members, map[string]*Divergence{"n2": {Node: "n2", Index: 5}}, wrong, now)
	if _, over = b.settle("n1", []string{"n1", "n3"}, nil, ruling{}, now); len(over) != 1 {
		t.Error("a node that was removed is still reported")
	}
	b.settle("n2", members, nil, wrong, now)
	if most, diverged := b.judgement(); diverged == nil || len(most) != 2 {
		t.Errorf("the wrong node says %v", diverged)
	}
	b.settle("n2", members, nil, ruling{}, now)
	if _, diverged := b.judgement(); diverged == nil {
		t.Error("the wrong node became right because nobody can be asked")
	}
	b.settle("n2", members, nil, ruling{true, 5, members, nil}, now)
	if _, diverged := b.judgement(); diverged != nil {
		t.Errorf("the node that is right again says %v", diverged)
	}
}
