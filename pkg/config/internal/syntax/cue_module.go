package syntax

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/mod/modfile"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

func moduleFileOf(root string) string { return filepath.Join(root, "cue.mod", "module.cue") }

const (
	smallestModule = `the smallest is module: "example.com/config@v0" and language: version: "` + languageVersion + `"`
	versionRemedy  = `write language: version: "` + languageVersion + `"`
)

// checkModule finds the mistake in the module file of the user's module, which cue/load reports
// without a place.
func (l *CUELoader) checkModule(root string) (diagnostic.Diagnostic, bool) {
	name := moduleFileOf(root)
	data, err := os.ReadFile(name)
	if err != nil {
		return diagnostic.Diagnostic{}, false // the directory cue.mod alone is a module, too
	}
	l.Modules = append(l.Modules, name)
	src := newSource(l.display(name), name, data)
	if d, bad := checkText(src.Name, src.Data); bad {
		return d, true
	}
	if d, bad := checkNesting(src); bad {
		return d, true
	}
	if _, err := modfile.Parse(src.Data, name); err != nil {
		return moduleMistake(src, err), true
	}
	return diagnostic.Diagnostic{}, false
}

// moduleNoise is what CUE puts before the reason.
var moduleNoise = regexp.MustCompile(`^(invalid module file syntax: |invalid module file [^:]+: )`)

// moduleMistake gives an error of package modfile its place and a remedy.
func moduleMistake(src *Source, err error) diagnostic.Diagnostic {
	d := diagnostic.Diagnostic{Position: diagnostic.Position{File: src.Name, Line: 1, Column: 1}, Message: moduleNoise.ReplaceAllString(diagnostic.FirstMessage(err), ""), Hint: smallestModule}
	if e, ok := errors.AsType[cueerrors.Error](err); ok {
		for _, p := range cueerrors.Positions(e) {
			if p.Filename() == src.Abs {
				d.Position = PositionAt(src.Name, src.Data, p.Offset())
				break
			}
		}
		if path := strings.Join(e.Path(), "."); path != "" {
			d.Path = path
		}
	}
	switch {
	case strings.HasPrefix(d.Message, "not allowed by"):
		d.Message, d.Hint = "unknown field", "known here: module, language, source, deps and custom"
	case strings.Contains(d.Message, "no language version"):
		d.Hint = versionRemedy
	case strings.Contains(d.Message, "too new"):
		version := quotedIn(d.Message)
		d.Position, d.Message = positionOf(src, version), "this kooperd does not know the CUE language "+version+" yet"
		d.Hint = "upgrade kooperd, or " + versionRemedy
	case strings.Contains(d.Message, "language version"):
		d.Position, d.Hint = positionOf(src, quotedIn(d.Message)), versionRemedy
	case strings.Contains(d.Message, "module path"):
		d.Position, d.Hint = positionOf(src, quotedIn(d.Message)), `write a path such as "example.com/config@v0"`
	case strings.Contains(d.Message, "of module") || strings.Contains(d.Message, "from module"):
		d.Position, d.Hint = positionOf(src, quotedIn(d.Message)), `write a version such as v: "v0.1.0", or remove what no file imports`
	}
	return d
}

var quoted = regexp.MustCompile(`"([^"]+)"`)

// quotedIn returns the first text in quotes of a message.
func quotedIn(message string) string {
	if m := quoted.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}

// positionOf returns where a text stands in quotes, or the beginning of the file.
func positionOf(src *Source, text string) diagnostic.Position {
	return PositionAt(src.Name, src.Data, max(0, bytes.Index(src.Data, []byte(`"`+text+`"`))))
}
