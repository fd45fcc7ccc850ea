package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"
	"go.yaml.in/yaml/v4"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

const (
	// maxNesting bounds how deep objects and lists may stand in each other, in any format. CUE's
	// evaluator is recursive, and a stack overflow of a Go program cannot be recovered.
	maxNesting = 200
	// maxAliased bounds how many values the aliases of one YAML file may expand to.
	maxAliased = 50_000
)

// yamlBreaks are the line breaks of YAML 1.1 besides \n and \r\n. They become \n, so that every
// reader of the file counts the same lines.
var yamlBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// ParseYAML reads one YAML document as CUE syntax that keeps the file's positions. After a mistake
// it returns no file, unless all of them are in fields of src.Reported.
func ParseYAML(src *Source) (*ast.File, diagnostic.Diagnostics) {
	data := src.Data
	src.Written = map[int]string{}
	y := &yamlFile{name: src.Name, optional: src.found != "", data: data, written: src.Written, expanding: map[*yaml.Node]bool{}, duplicates: map[*yaml.Node]bool{}}
	y.tok = token.NewFile(src.Abs, -1, len(data)+1)
	y.tok.SetLinesForContent(data)
	y.ascii = true
	for i, b := range data {
		y.ascii = y.ascii && b < utf8.RuneSelf
		if b == '\n' {
			y.breaks = append(y.breaks, i)
		}
	}
	root := y.document()
	if root == nil && len(y.diags) == 0 {
		return &ast.File{Filename: src.Abs}, nil
	}
	if root == nil {
		return nil, y.diags
	}
	expr := y.value(root, nil, 0)
	src.Reported = y.reported
	file, ok := expr.(*ast.StructLit)
	switch {
	case len(y.diags) > len(y.reported) || y.tooMuch:
		return nil, y.diags
	case !ok && len(y.diags) > 0:
		return nil, y.diags
	case !ok:
		y.fail(y.position(root), nil, "want an object with apiVersion and controllers, have "+describeNode(root), "")
		return nil, y.diags
	}
	return &ast.File{Filename: src.Abs, Decls: withoutExtensions(file.Elts)}, y.diags
}

// withoutExtensions leaves out what stands under a key of the root that begins with "x-". It has no
// meaning, and is the place for what anchors name.
func withoutExtensions(fields []ast.Decl) []ast.Decl {
	return slices.DeleteFunc(fields, func(d ast.Decl) bool {
		field, ok := d.(*ast.Field)
		if !ok {
			return false
		}
		name, _, err := ast.LabelName(field.Label)
		return err == nil && strings.HasPrefix(name, "x-")
	})
}

// yamlFile is the conversion of one file.
type yamlFile struct {
	optional   bool // the file may be empty, as it is one of a directory
	name       string
	data       []byte
	tok        *token.File
	breaks     []int // offsets of the line breaks
	ascii      bool  // columns are bytes then
	diags      diagnostic.Diagnostics
	expanding  map[*yaml.Node]bool // the anchors being expanded, to find one that contains itself
	duplicates map[*yaml.Node]bool // the repeated keys reported already, as an alias shows them again
	aliased    int                 // values made by expanding aliases
	inAlias    int
	tooMuch    bool
	written    map[int]string // of the source
	reported   []diagnostic.Path
}

func (y *yamlFile) fail(pos diagnostic.Position, at diagnostic.Path, message, hint string, related ...diagnostic.Position) {
	y.tooMuch = y.tooMuch || len(y.diags) > diagnostic.MaxDiagnostics
	y.diags = append(y.diags, diagnostic.Diagnostic{Position: pos, Path: at.String(), Message: message, Hint: hint, Related: related})
}

// document returns the root of the only document, or nil after a mistake.
func (y *yamlFile) document() *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(y.data))
	var root *yaml.Node
	for {
		doc := new(yaml.Node)
		err := dec.Decode(doc)
		switch {
		case errors.Is(err, io.EOF):
			if root == nil && !y.optional {
				y.fail(diagnostic.Position{File: y.name, Line: 1, Column: 1}, nil, "the file is empty", emptyHint)
			}
			return root
		case err != nil:
			y.syntaxError(err)
			return nil
		}
		content := doc
		if doc.Kind == yaml.DocumentNode {
			if len(doc.Content) == 0 {
				continue
			}
			content = doc.Content[0]
		}
		if content.Kind == yaml.ScalarNode && content.ShortTag() == "!!null" && content.Value == "" {
			continue
		}
		if root != nil {
			y.fail(y.position(content), nil, "a second YAML document begins here", "put it into a file of its own, or merge it into the first")
			return nil
		}
		root = content
	}
}

const emptyHint = `the smallest config is apiVersion: "kooperd.dev/v1alpha1" and controllers: {}`

func (y *yamlFile) syntaxError(err error) {
	var load *yaml.LoadError
	if !errors.As(err, &load) || load.Mark.Line == 0 {
		message := strings.TrimPrefix(err.Error(), "yaml: ")
		if load != nil {
			message = load.Message
		}
		pos := diagnostic.Position{File: y.name, Line: 1, Column: 1}
		if i := bytes.IndexFunc(y.data, isControl); i >= 0 {
			pos = PositionAt(y.name, y.data, i)
		}
		y.fail(pos, nil, "not YAML: "+message, "")
		return
	}
	pos := PositionAt(y.name, y.data, y.offset(load.Mark.Line, load.Mark.Column))
	message := load.Message
	if load.ContextMsg != "" {
		message += " " + load.ContextMsg
	}
	y.fail(pos, nil, "not YAML: "+message, y.syntaxHint(load))
}

// isControl reports whether YAML forbids the character.
func isControl(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }

// syntaxHint explains the mistakes that everybody makes once.
func (y *yamlFile) syntaxHint(load *yaml.LoadError) string {
	rest := y.data[y.offset(load.Mark.Line, load.Mark.Column):]
	switch {
	case bytes.HasPrefix(rest, []byte("\t")):
		return "indent with spaces, YAML allows no tabs there"
	case strings.Contains(load.Message, "cannot start any token"):
		return "put the text in quotes"
	case strings.Contains(load.Message, "mapping values are not allowed"):
		return `check the indentation, and put a text with ": " in it in quotes`
	}
	return ""
}

// offset returns the byte offset of a line and a column in characters, both from 1.
func (y *yamlFile) offset(line, column int) int {
	start := 0
	switch {
	case line-2 >= len(y.breaks):
		return len(y.data)
	case line >= 2:
		start = y.breaks[line-2] + 1
	}
	if y.ascii {
		end := len(y.data)
		if line-1 < len(y.breaks) {
			end = y.breaks[line-1]
		}
		return min(start+column-1, end)
	}
	for ; column > 1 && start < len(y.data) && y.data[start] != '\n'; column-- {
		_, size := utf8.DecodeRune(y.data[start:])
		start += size
	}
	return start
}

func (y *yamlFile) position(n *yaml.Node) diagnostic.Position {
	return PositionAt(y.name, y.data, y.offset(n.Line, n.Column))
}

func (y *yamlFile) pos(n *yaml.Node) token.Pos {
	return y.tok.Pos(y.offset(n.Line, n.Column), token.NoRelPos)
}

// null stands for what could not be converted; the file is refused then.
func (y *yamlFile) null() ast.Expr { return ast.NewNull() }

func (y *yamlFile) value(n *yaml.Node, at diagnostic.Path, depth int) ast.Expr {
	if y.inAlias > 0 {
		y.aliased++
	}
	switch {
	case y.tooMuch:
		return y.null()
	case y.aliased > maxAliased:
		y.tooMany(n, at)
		return y.null()
	case depth > maxNesting:
		y.tooMuch = true
		y.fail(y.position(n), nil, fmt.Sprintf("nested more than %d levels deep", maxNesting), "")
		return y.null()
	}
	switch n.Kind {
	case yaml.AliasNode:
		return y.alias(n, at, depth)
	case yaml.MappingNode:
		return y.mapping(n, at, depth)
	case yaml.SequenceNode:
		list := &ast.ListLit{Lbrack: y.pos(n)}
		if tag := n.ShortTag(); tag != "!!seq" {
			y.badTag(n, at, tag)
		}
		for i, c := range n.Content {
			list.Elts = append(list.Elts, y.value(c, at.With(diagnostic.IndexStep(i)), depth+1))
		}
		return list
	case yaml.ScalarNode:
		return y.scalar(n, at)
	default:
		y.fail(y.position(n), at, "not a YAML value", "")
		return y.null()
	}
}

// tooMany refuses the rest of the file.
func (y *yamlFile) tooMany(n *yaml.Node, at diagnostic.Path) {
	if y.tooMuch {
		return
	}
	y.tooMuch = true
	y.fail(y.position(n), at, fmt.Sprintf("the file's aliases stand for more than %d values", maxAliased), "")
}

func (y *yamlFile) alias(n *yaml.Node, at diagnostic.Path, depth int) ast.Expr {
	target := n.Alias
	if target == nil || y.expanding[target] {
		y.fail(y.position(n), at, fmt.Sprintf("the anchor %q contains itself", n.Value), "")
		return y.null()
	}
	y.expanding[target] = true
	y.inAlias++
	defer func() { y.inAlias--; delete(y.expanding, target) }()
	return y.value(target, at, depth+1)
}

func (y *yamlFile) badTag(n *yaml.Node, at diagnostic.Path, tag string) {
	y.fail(y.position(n), at, fmt.Sprintf("the YAML tag %s has no meaning here", tag), "leave it out")
}

func (y *yamlFile) scalar(n *yaml.Node, at diagnostic.Path) ast.Expr {
	lit := &ast.BasicLit{ValuePos: y.pos(n)}
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp", "!!merge":
		lit.Kind, lit.Value = token.STRING, literal.String.Quote(n.Value)
	case "!!null":
		lit.Kind, lit.Value = token.NULL, "null"
	case "!!bool":
		b, err := strconv.ParseBool(strings.ToLower(n.Value))
		if err != nil {
			y.fail(y.position(n), at, fmt.Sprintf("%q is not true or false", n.Value), "")
		}
		lit.Kind, lit.Value = token.FALSE, "false"
		if b {
			lit.Kind, lit.Value = token.TRUE, "true"
		}
	case "!!int":
		lit.Kind, lit.Value = token.INT, y.integer(n, at)
	case "!!float":
		number, ok := y.float(n, at)
		if !ok {
			return &ast.Ident{NamePos: y.pos(n), Name: "_"}
		}
		lit.Kind, lit.Value = token.FLOAT, number
	default:
		y.badTag(n, at, tag)
		return y.null()
	}
	if lit.Kind != token.STRING && n.Value != "" {
		y.written[y.offset(n.Line, n.Column)] = n.Value
	}
	return lit
}

// integer reads YAML's decimal, hexadecimal, octal and binary forms; "010" is 8 to every Kubernetes
// tool, and here.
func (y *yamlFile) integer(n *yaml.Node, at diagnostic.Path) string {
	v, ok := new(big.Int).SetString(strings.TrimPrefix(n.Value, "+"), 0)
	if !ok {
		v, ok = new(big.Int).SetString(strings.ReplaceAll(strings.TrimPrefix(n.Value, "+"), "_", ""), 0)
	}
	if !ok {
		y.fail(y.position(n), at, fmt.Sprintf("%q is not a whole number", n.Value), "")
		return "0"
	}
	return v.String()
}

// float reads a number; ok is false for one that is none in CUE, which then has been reported.
func (y *yamlFile) float(n *yaml.Node, at diagnostic.Path) (text string, ok bool) {
	v, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		y.fail(y.position(n), at, n.Value+" is not a finite number", fmt.Sprintf("write %q in quotes for a text", n.Value))
		y.reported = append(y.reported, at)
		return "", false
	}
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s, true
}

func describeNode(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
		return "the value " + diagnostic.Quote(n.Value)
	}
}
