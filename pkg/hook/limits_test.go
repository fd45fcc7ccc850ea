package hook_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// allocated is how many MiB do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

// TestMistakesWithoutEnd has answers with a mistake in every other byte: the first are named, and
// the others take no memory.
func TestMistakesWithoutEnd(t *testing.T) {
	answer := `{"children":[` + strings.Repeat("1,", 400_000) + `1]}`
	var err error
	if took := allocated(func() { _, err = compose(t, configMaps(), website, answer) }); took > 128 {
		t.Errorf("it took %d MiB", took)
	}
	if err == nil || len(err.Error()) > 2000 {
		t.Fatalf("have the error %.3000v", err)
	}
}

// TestManyMistakes counts those that are not named.
func TestManyMistakes(t *testing.T) {
	_, err := compose(t, configMaps(), website, `{"children":[`+strings.Repeat("1,", 1999)+`1]}`)
	wantError(t, err, "children[7]: is a number, want an object\nand 1992 more mistakes")
}

// TestValuesWithoutEnd has an answer that takes many times its text in memory.
func TestValuesWithoutEnd(t *testing.T) {
	answer := `{"status":{"a":[` + strings.Repeat(`{"a":1},`, 1_000_000) + `1]}}`
	var err error
	if took := allocated(func() { _, err = compose(t, configMaps(), website, answer) }); took > 256 {
		t.Errorf("it took %d MiB", took)
	}
	wantError(t, err, "sync hook: the answer has more than 500000 values")
}

// TestChildrenWithoutEnd bounds what one parent may have.
func TestChildrenWithoutEnd(t *testing.T) {
	answer := func(n int) string {
		var children []string
		for i := range n {
			children = append(children, fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c%d"}}`, i))
		}
		return `{"children":[` + strings.Join(children, ",") + `]}`
	}
	composition, err := compose(t, configMaps(), website, answer(5000))
	if err != nil || len(composition.Children) != 5000 {
		t.Errorf("of 5000 children there are %d, %v", len(composition.Children), err)
	}
	_, err = compose(t, configMaps(), website, answer(5001))
	wantError(t, err, "sync hook: children: has 5001 items, want at most 5000")
	_, err = compose(t, configMaps(), website, `{"children":[`+strings.Repeat(" ", 64<<20)+`]}`)
	wantError(t, err, "sync hook: the answer has 67108879 bytes, want at most 64 MiB")
}
