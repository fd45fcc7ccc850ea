package language

import (
	"fmt"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/parser"

	"kooperd.dev/kooperd/schemas"
)

// Core compiles #Config without any plugin.
func Core(ctx *cue.Context) (cue.Value, error) {
	inst := build.NewContext().NewInstance("", nil)
	entries, err := schemas.FS.ReadDir(".")
	if err != nil {
		return cue.Value{}, fmt.Errorf("reading the embedded schema: %w", err)
	}
	for _, e := range entries {
		text, err := schemas.FS.ReadFile(e.Name())
		if err != nil {
			return cue.Value{}, fmt.Errorf("reading the embedded schema: %w", err)
		}
		f, err := parser.ParseFile(e.Name(), text)
		if err != nil {
			return cue.Value{}, fmt.Errorf("parsing the embedded schema: %w", err)
		}
		if err := inst.AddSyntax(f); err != nil {
			return cue.Value{}, fmt.Errorf("building the embedded schema: %w", err)
		}
	}
	v := ctx.BuildInstance(inst).LookupPath(cue.MakePath(cue.Def("#Config")))
	return v, v.Err()
}
