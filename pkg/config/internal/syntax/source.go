package syntax

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// maxInput is the most that one load reads, all files together. It bounds memory; a config of a
// thousand definitions has 150 KB.
const maxInput = 4 << 20

// Language is what a file is written in.
type Language int

// The languages of a config file.
const (
	noLanguage Language = iota
	CUE
	YAML
	JSON
)

func languageOf(name string) Language {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".cue":
		return CUE
	case ".yaml", ".yml":
		return YAML
	case ".json":
		return JSON
	default:
		return noLanguage
	}
}

// Source is one file, read once. What was read is what is hashed and what is parsed.
type Source struct {
	Name     string // as named or found: for messages
	Abs      string // the name CUE knows the file by: absolute, and with .cue at its end if the file is CUE
	Language Language
	Data     []byte // without a byte order mark, and with the line breaks of YAML made \n: what positions count in
	raw      []byte // as they were read
	sum      [sha256.Size]byte
	found    string // the directory argument it was found by, or ""
	imported bool   // by another file, and not named or found
	// Written are the numbers and words of a YAML file as they stand in it, by their offsets.
	Written map[int]string
	// Reported are the fields of a YAML file whose values are none in CUE. Each has a diagnostic,
	// and "_" as its value.
	Reported []diagnostic.Path
}

// newSource takes the bytes of a file as they were read.
func newSource(name, abs string, raw []byte) *Source {
	src := &Source{Name: name, Abs: abs, Language: languageOf(abs), raw: raw, sum: sha256.Sum256(raw)}
	src.Data = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if src.Language == noLanguage {
		src.Language = languageByContent(src.Data)
	}
	if src.Language == CUE && filepath.Ext(abs) != ".cue" {
		src.Abs += ".cue"
	}
	return src
}

// Sources are the files of one load.
type Sources struct {
	Files  []*Source
	Budget int64 // bytes that may still be read
	Diags  diagnostic.Diagnostics
}

// Read reads the files and directories in paths. Mistakes are in diags; the other files are read
// all the same.
func Read(paths []string) *Sources {
	s := &Sources{Budget: maxInput}
	seen := map[string]bool{}
	for _, p := range paths {
		for _, name := range s.expand(p) {
			abs, err := absolute(name)
			if err != nil {
				s.fail(name, "cannot be found: "+reason(err), "")
				continue
			}
			if !seen[abs] {
				seen[abs] = true
				s.read(name, abs, p)
			}
		}
	}
	return s
}

// absolute returns the absolute name of a file. Standard input has one name, and is in the working
// directory, so that what it imports is looked for there.
func absolute(name string) (string, error) {
	if isStdin(name) {
		name = "-"
	}
	return filepath.Abs(name)
}

// isStdin reports whether a path names standard input.
func isStdin(name string) bool { return name == "-" || name == "/dev/stdin" }

func (s *Sources) fail(name, message, hint string) {
	s.Diags = append(s.Diags, diagnostic.Diagnostic{Position: diagnostic.Position{File: name}, Message: message, Hint: hint})
}

// expand returns the files that p stands for: itself, or the config files of a directory, not of
// those below it.
func (s *Sources) expand(p string) []string {
	if isStdin(p) {
		return []string{p}
	}
	info, err := os.Stat(p)
	switch {
	case err == nil && isPipe(info):
		return []string{p}
	case err != nil:
		s.fail(p, "cannot be read: "+reason(err), "")
		return nil
	case !info.IsDir():
		if languageOf(p) == noLanguage {
			s.fail(p, "is not a config file by its name", "want .cue, .yaml, .yml or .json")
			return nil
		}
		return []string{p}
	}
	entries, err := os.ReadDir(p)
	if err != nil {
		s.fail(p, "cannot be read: "+reason(err), "")
		return nil
	}
	var names []string
	for _, e := range entries {
		if name := filepath.Join(p, e.Name()); isConfigEntry(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		s.fail(p, "the directory has no config file", "want files that end in .cue, .yaml, .yml or .json; directories below it are not read")
	}
	return names
}

// isConfigEntry reports whether a directory's entry is read. Hidden entries are not, among them
// ..data and the dated directory of a mounted ConfigMap; the visible files of such a mount are
// symbolic links and are followed. CUE's own tool and test files are no part of a package.
func isConfigEntry(name string) bool {
	if !IsConfigName(filepath.Base(name)) {
		return false
	}
	info, err := os.Stat(name)
	return err != nil || !info.IsDir()
}

// IsConfigName reports whether a directory's entry of that name is read if it is a file.
func IsConfigName(base string) bool {
	return !strings.HasPrefix(base, ".") && !strings.HasSuffix(base, "_tool.cue") && !strings.HasSuffix(base, "_test.cue") &&
		languageOf(base) != noLanguage
}

func (s *Sources) read(name, abs, argument string) {
	data, err := s.readOnce(name, argument == name)
	switch {
	case errors.Is(err, errTooLarge):
		s.tooLarge(name)
		return
	case err != nil:
		s.fail(name, "cannot be read: "+reason(err), "")
		return
	}
	found := argument
	if argument == name {
		found = ""
	}
	s.add(newSource(name, abs, data), found)
}

// add takes a file into the load that was found by a directory argument, or by none.
func (s *Sources) add(src *Source, found string) {
	if d, bad := checkText(src.Name, src.Data); bad {
		s.Diags = append(s.Diags, d)
		return
	}
	if src.Language == YAML {
		src.Data = []byte(yamlBreaks.Replace(string(src.Data)))
	}
	src.found = found
	s.Files = append(s.Files, src)
}

// tooLarge reports a file with which the config is larger than allowed.
func (s *Sources) tooLarge(name string) {
	s.fail(name, fmt.Sprintf("the config is larger than %d MiB", maxInput>>20), "that is the limit for all files together")
}

var errTooLarge = errors.New("too large")

// isPipe reports whether a file is read once, as a pipe, a terminal or the <(…) of a shell are.
func isPipe(info fs.FileInfo) bool {
	return info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice|fs.ModeSocket) != 0
}

// readOnce reads a file to its end. Pipes are read only when they are named: one that lies in a
// directory would wait for a writer.
func (s *Sources) readOnce(name string, named bool) ([]byte, error) {
	f := os.Stdin
	if !isStdin(name) {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular() && (!named || !isPipe(info)):
			return nil, errors.New("not a regular file")
		}
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	data, err := io.ReadAll(io.LimitReader(f, s.Budget+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > s.Budget {
		return nil, errTooLarge
	}
	s.Budget -= int64(len(data))
	return data, nil
}

// reason is the part of a file error behind the name, which the diagnostic gives already.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// checkText finds the first byte that no config file has: part of something else than UTF-8, or
// NUL.
func checkText(name string, data []byte) (diagnostic.Diagnostic, bool) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return diagnostic.Diagnostic{Position: diagnostic.Position{File: name}, Message: "is UTF-16, not UTF-8", Hint: "save it as UTF-8"}, true
	}
	bad, message := bytes.IndexByte(data, 0), "has a NUL byte: it is not a text file"
	if bad < 0 {
		for i := 0; i < len(data); {
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size == 1 {
				bad, message = i, "is not UTF-8"
				break
			}
			i += size
		}
	}
	if bad < 0 {
		return diagnostic.Diagnostic{}, false
	}
	return diagnostic.Diagnostic{Position: PositionAt(name, data, bad), Message: message}, true
}

// PositionAt returns the line and column of a byte offset, which may be the end of the data.
func PositionAt(name string, data []byte, offset int) diagnostic.Position {
	offset = min(max(offset, 0), len(data))
	line := bytes.Count(data[:offset], []byte("\n"))
	start := bytes.LastIndexByte(data[:offset], '\n') + 1
	return diagnostic.Position{File: name, Line: line + 1, Column: utf8.RuneCount(data[start:offset]) + 1}
}
