package cases

import (
	"fmt"
	"strings"
)

// Suffix is how the name of a file with a case ends.
const Suffix = "_test.yaml"

// Case is one file with a case.
type Case struct {
	// Name is the path without Suffix, and Path the path of the file.
	Name, Path string
	// Config are the paths of the config; none if the file does not say it. Paths are as they can
	// be opened.
	Config []string
	// CRDs are the paths of CustomResourceDefinitions.
	CRDs []string
	// Definition is the name of the definition; empty for the one that watches the object's kind.
	Definition string
	// Object is the parent.
	Object Source
	// Made are children by their names within the parent.
	Made map[string]Source
	// Children are objects that the definition may have made, and Related all others.
	Children, Related []Source
	// Expect is what should come of it; nil if the file does not say it.
	Expect Outcome
	// At is where the case begins.
	At Position

	text []byte
}

// Source is an object, or a file or folder with objects.
type Source struct {
	// Object is the object, as JSON values; nil if Path says where it is.
	Object map[string]any
	// Path is that of a file or folder; empty if Object has it.
	Path string
	// At is where that is said.
	At Position
}

// Position is a place in a file, counted from 1.
type Position struct {
	File         string
	Line, Column int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Problem is a mistake in a file.
type Problem struct {
	At      Position
	Message string
}

func (p Problem) String() string { return p.At.String() + ": " + p.Message }

// Problems are the mistakes in files, as one error.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}
