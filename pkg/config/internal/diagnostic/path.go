package diagnostic

import (
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
)

// Path names a field from the root of the config. Each step is a field name, or an index written as
// "[0]".
type Path []string

// With returns a new path with more steps; p keeps its own memory.
func (p Path) With(steps ...string) Path { return append(slices.Clip(slices.Clone(p)), steps...) }

// Parent returns the path without its last step; that of the root is the root.
func (p Path) Parent() Path { return p[:max(0, len(p)-1)] }

// Last returns the last step, or "" for the root.
func (p Path) Last() string {
	if len(p) == 0 {
		return ""
	}
	return p[len(p)-1]
}

// Key is a form of the path that serves as a map key.
func (p Path) Key() string { return strings.Join(p, "\x00") }

// String returns the path as diagnostics print it: names that need quotes in CUE only because of a
// dash go without.
func (p Path) String() string {
	var b strings.Builder
	for i, step := range p {
		if _, ok := index(step); ok || step == EachStep {
			b.WriteString(step)
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		if plainName(step) {
			b.WriteString(step)
		} else {
			b.WriteString(strconv.Quote(step))
		}
	}
	return b.String()
}

func plainName(s string) bool {
	for _, r := range s {
		ok := strings.ContainsRune("_-$<>", r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !ok {
			return false
		}
	}
	return s != ""
}

// IndexStep returns the step to an item of a list.
func IndexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

// EachStep stands for the steps to all entries of a list or a map.
const EachStep = "[*]"

func index(step string) (int, bool) {
	if len(step) < 3 || step[0] != '[' || step[len(step)-1] != ']' {
		return 0, false
	}
	i, err := strconv.Atoi(step[1 : len(step)-1])
	return i, err == nil && i >= 0
}

// Cue returns the path as CUE looks it up.
func (p Path) Cue() cue.Path {
	sels := make([]cue.Selector, len(p))
	for i, step := range p {
		if n, ok := index(step); ok {
			sels[i] = cue.Index(n)
		} else {
			sels[i] = cue.Str(step)
		}
	}
	return cue.MakePath(sels...)
}

// ErrorPath turns the path of a CUE error, whose field names are quoted where CUE quotes them, into
// a path.
func ErrorPath(steps []string) Path {
	p := make(Path, 0, len(steps))
	for _, step := range steps {
		switch n, err := strconv.Atoi(step); {
		case err == nil && n >= 0:
			p = append(p, IndexStep(n))
		case strings.HasPrefix(step, `"`):
			if s, err := strconv.Unquote(step); err == nil {
				step = s
			}
			p = append(p, step)
		default:
			p = append(p, step)
		}
	}
	return p
}

// ParsePath reads a path that a plugin wrote, such as argv[0] or env.PATH. What does not parse is
// one step.
func ParsePath(s string) Path {
	if s == "" {
		return nil
	}
	parsed := cue.ParsePath(s)
	if parsed.Err() != nil {
		return Path{s}
	}
	var p Path
	for _, sel := range parsed.Selectors() {
		switch {
		case sel.LabelType() == cue.StringLabel:
			p = append(p, sel.Unquoted())
		case sel.LabelType() == cue.IndexLabel:
			p = append(p, IndexStep(sel.Index()))
		default:
			p = append(p, sel.String())
		}
	}
	return p
}
