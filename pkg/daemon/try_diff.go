package daemon

import (
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"sigs.k8s.io/yaml"
)

// diffContext is how many lines around a change are shown.
const diffContext = 3

// objectYAML is an object as YAML; empty for none.
func objectYAML(object map[string]any) string {
	if object == nil {
		return ""
	}
	text, err := yaml.Marshal(object)
	if err != nil {
		return fmt.Sprintf("# it cannot be written as YAML: %v\n", err)
	}
	return string(text)
}

// objectDiff is what differs between two states of an object, as diff -u writes it.
func objectDiff(name string, before, now map[string]any) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(strings.TrimSuffix(objectYAML(before), "\n")), B: difflib.SplitLines(strings.TrimSuffix(objectYAML(now), "\n")),
		FromFile: name, ToFile: name + " (then)", Context: diffContext,
	})
	if err != nil {
		return fmt.Sprintf("# it cannot be compared: %v\n", err)
	}
	return text
}

// The colors of a terminal.
const (
	colorRed    = "\x1b[31m"
	colorGreen  = "\x1b[32m"
	colorYellow = "\x1b[33m"
	colorCyan   = "\x1b[36m"
	colorBold   = "\x1b[1m"
	colorReset  = "\x1b[0m"
)

// painter colors lines, or does not.
type painter bool

// line is a line in a color; empty for none.
func (p painter) line(color, text string) string {
	if !p || color == "" || text == "" {
		return text
	}
	return color + text + colorReset
}

// diff colors a diff.
func (p painter) diff(text string) string {
	if !p {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		color := ""
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			color = colorBold
		case strings.HasPrefix(line, "@@"):
			color = colorCyan
		case strings.HasPrefix(line, "+"):
			color = colorGreen
		case strings.HasPrefix(line, "-"):
			color = colorRed
		}
		out.WriteString(p.line(color, strings.TrimSuffix(line, "\n")) + "\n")
	}
	return out.String()
}

// colorOf is the color of an action.
func colorOf(action tryAction) string {
	switch action {
	case tryCreate, tryAdopt:
		return colorGreen
	case tryChange, tryRecreate, tryWait, tryWithdraw:
		return colorYellow
	case tryDelete, tryRefuse:
		return colorRed
	default:
		return ""
	}
}
