package main

import (
	"fmt"
	"regexp"
	"strings"

	"kooperd.dev/kooperd/pkg/handlers"
)

// configPage describes the config language.
func configPage(registry *handlers.Registry) ([]byte, error) {
	l, err := readLanguage("")
	if err != nil {
		return nil, err
	}
	fields, err := l.describe("")
	if err != nil {
		return nil, err
	}
	common, err := l.commonTypes()
	if err != nil {
		return nil, err
	}
	return page("config.md.tmpl", map[string]any{
		"Index":   index(fields),
		"Fields":  sections([]*field{{Fields: fields}}),
		"Plugins": pluginIndex(registry),
		"Common":  common,
	})
}

// pluginPage describes the config of one plugin.
func pluginPage(registry *handlers.Registry, name string) ([]byte, error) {
	d, _ := registry.Describe(name)
	l, err := readLanguage(d.Schema)
	if err != nil {
		return nil, err
	}
	fields, err := l.describe("handler." + name)
	if err != nil {
		return nil, err
	}
	there := strings.NewReplacer("(#duration)", "(../config.md#duration)", "(#secret)", "(../config.md#secret)")
	return page("plugin.md.tmpl", map[string]any{
		"Name": name, "Summary": d.Summary, "Index": there.Replace(index(fields)),
		"Fields": there.Replace(sections([]*field{{Path: "handler." + name, Fields: fields}})),
	})
}

// pluginIndex lists the plugins, a row of a table each.
func pluginIndex(registry *handlers.Registry) string {
	var b strings.Builder
	for _, name := range registry.Names() {
		d, _ := registry.Describe(name)
		fmt.Fprintf(&b, "| [`%s`](plugins/%s.md) | %s |\n", name, name, markdown(d.Summary))
	}
	return b.String()
}

// commonTypes describes the types that have a section of their own.
func (l language) commonTypes() (string, error) {
	var b strings.Builder
	for _, name := range []string{"#Duration", "#Secret"} {
		d := l[name]
		title := strings.ToLower(strings.TrimPrefix(name, "#"))
		fmt.Fprintf(&b, "### %s\n\n%s\n\n", title, markdown(doc(d)))
		fields, err := l.fields(d.Value, title)
		if err != nil {
			return "", err
		}
		if len(fields) == 0 {
			continue
		}
		b.WriteString("| field | value | description |\n|---|---|---|\n")
		for _, f := range fields {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", lastName(f.Path), cell(f.values()), cell(markdown(f.Doc)))
		}
		b.WriteString("\n")
	}
	return strings.TrimSpace(b.String()), nil
}

// index is the rows of a table of all fields.
func index(fields []*field) string {
	var b strings.Builder
	for _, f := range fields {
		if !strings.HasSuffix(f.Path, "<name>") {
			fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s |\n", f.Path, anchor(f.Path), cell(f.Type), cell(f.need()))
		}
		b.WriteString(index(f.Fields))
	}
	return b.String()
}

// sections describes fields, those of one object under one heading.
func sections(fields []*field) string {
	var b strings.Builder
	for _, f := range fields {
		if len(f.Fields) == 0 {
			continue
		}
		if isMap(f) { // the heading is that of the entry
			b.WriteString(sections(f.Fields))
			continue
		}
		section(&b, f)
		b.WriteString(sections(f.Fields))
	}
	return b.String()
}

// isMap reports whether an object has names of the user's own choice.
func isMap(f *field) bool { return len(f.Fields) == 1 && strings.HasSuffix(f.Fields[0].Path, "<name>") }

// section describes one object.
func section(b *strings.Builder, object *field) {
	if object.Path == "" {
		b.WriteString("## The file\n\n")
	} else {
		fmt.Fprintf(b, "## `%s`\n\n", object.Path)
	}
	if strings.HasSuffix(object.Path, "<name>") {
		fmt.Fprintf(b, "%s\n\nThe name is %s.\n\n", markdown(object.Of), object.Want)
	} else if object.Of != "" {
		b.WriteString(markdown(object.Of) + "\n\n")
	}
	for _, f := range object.Fields {
		entry(b, f)
	}
}

// entry describes one field of an object.
func entry(b *strings.Builder, f *field) {
	fmt.Fprintf(b, "### <a id=\"%s\"></a>`%s`\n\n", anchor(f.Path), lastName(f.Path))
	fmt.Fprintf(b, "*%s* · %s\n\n%s\n", f.values(), f.need(), markdown(f.Doc))
	if len(f.Fields) > 0 {
		target := f
		if isMap(f) {
			target = f.Fields[0]
		}
		fmt.Fprintf(b, "\nIts fields: [`%s`](#%s).\n", target.Path, heading(target.Path))
	}
	b.WriteString("\n")
}

// values says which values the field takes.
func (f *field) values() string {
	if f.Want == "" {
		return f.Type
	}
	if strings.Contains(f.Type, "`") { // alternatives, which the words of the restriction repeat
		return markdown(f.Want)
	}
	return f.Type + ", " + markdown(f.Want)
}

// need says what follows when the field is not there.
func (f *field) need() string {
	switch {
	case f.Required:
		return "required"
	case f.Default != "":
		return "default: " + markdown(f.Default)
	default:
		return "optional"
	}
}

func lastName(path string) string { return path[strings.LastIndex(path, ".")+1:] }

// anchor is the place of a field on its page: its path without the names of the user's own choice.
func anchor(path string) string { return strings.NewReplacer(".<name>", "", "[]", "").Replace(path) }

var notInHeadings = regexp.MustCompile("[^a-z0-9_ -]")

// heading is the place that Markdown viewers give to the heading of an object.
func heading(path string) string {
	return strings.ReplaceAll(notInHeadings.ReplaceAllString(strings.ToLower(path), ""), " ", "-")
}

// quotedText is a text in quotes, in which \" is a part of it.
const quotedText = `"(?:\\.|[^"\\])*"`

var quoted = regexp.MustCompile("`[^`]*`|" + quotedText + "(: " + quotedText + ")?|\\$[A-Z_]+|[A-Z]+_[A-Z_]*\\*?")

// markdown sets what a comment quotes, and names of variables, in the type of code.
func markdown(text string) string {
	return quoted.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasPrefix(s, "`") {
			return s
		}
		return "`" + s + "`"
	})
}

// cell makes text fit into a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n\n", " "), "|", `\|`)
}
