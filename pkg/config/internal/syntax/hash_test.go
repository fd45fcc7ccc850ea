package syntax

import (
	"slices"
	"testing"
)

func TestHash(t *testing.T) {
	file := func(name, text string) *Source { return newSource(name, "/etc/kooperd/"+name, []byte(text)) }
	a, b, c := file("a.yaml", "x"), file("b.yaml", "y"), file("c.yaml", "z")
	sum, names := Hash([]*Source{c, a, b})
	if want := []string{"a.yaml", "b.yaml", "c.yaml"}; !slices.Equal(names, want) {
		t.Errorf("the names are %q, want %q", names, want)
	}
	elsewhere := func(name, text string) *Source { return newSource(name, "/home/me/"+name, []byte(text)) }
	for name, files := range map[string][]*Source{
		"in another order":     {b, c, a},
		"under another name":   {a, b, file("d.yml", "z")},
		"in other directories": {elsewhere("a.yaml", "x"), file("mounted/b.yaml", "y"), c},
		"texts exchanged":      {file("a.yaml", "y"), file("b.yaml", "x"), c},
	} {
		if other, _ := Hash(files); other != sum {
			t.Errorf("%s: the hash is another one", name)
		}
	}
	for name, files := range map[string][]*Source{
		"one less":          {a, b},
		"one twice":         {a, b, c, file("again.yaml", "z")},
		"another text":      {a, b, file("c.yaml", "zz")},
		"the bytes as read": {a, b, file("c.yaml", "\ufeffz")},
		"another language":  {a, b, file("c.cue", "z")},
	} {
		if other, _ := Hash(files); other == sum {
			t.Errorf("%s: the hash is the same", name)
		}
	}
	unsorted := []*Source{c, a, b}
	if Hash(unsorted); unsorted[0] != c {
		t.Error("the order of the files was changed")
	}
}

// TestHashOfCUE has two directories with CUE files. A reference leads to a file of the same
// directory, so the places of the files to each other are part of the config; where all of them lie
// is not, nor where a YAML file lies.
func TestHashOfCUE(t *testing.T) {
	const one, two, loop = `package c; _t: ["x"]`, `package c; _t: ["z"]`, `package c; controllers: {for t in _t {(t): {}}}`
	hash := func(files map[string]string) string {
		var list []*Source
		for name, text := range files {
			list = append(list, newSource(name, name, []byte(text)))
		}
		sum, _ := Hash(list)
		return sum
	}
	sum := hash(map[string]string{"/c/a/x.cue": one, "/c/a/y.cue": loop, "/c/b/z.cue": two, "/c/l.yaml": "{}"})
	for name, files := range map[string]map[string]string{
		"all elsewhere":        {"/home/me/a/x.cue": one, "/home/me/a/y.cue": loop, "/home/me/b/z.cue": two, "/home/me/l.yaml": "{}"},
		"below the root":       {"/a/x.cue": one, "/a/y.cue": loop, "/b/z.cue": two, "/l.yaml": "{}"},
		"the YAML elsewhere":   {"/c/a/x.cue": one, "/c/a/y.cue": loop, "/c/b/z.cue": two, "/etc/lease/l.yaml": "{}"},
		"the YAML beside one":  {"/c/a/x.cue": one, "/c/a/y.cue": loop, "/c/b/z.cue": two, "/c/a/l.yaml": "{}"},
		"other names of files": {"/c/a/y.cue": one, "/c/a/z.cue": loop, "/c/b/x.cue": two, "/c/m.yaml": "{}"},
	} {
		if hash(files) != sum {
			t.Errorf("%s: the hash is another one", name)
		}
	}
	for name, files := range map[string]map[string]string{
		"one moved":       {"/c/a/x.cue": one, "/c/b/y.cue": loop, "/c/b/z.cue": two, "/c/l.yaml": "{}"},
		"texts exchanged": {"/c/a/x.cue": two, "/c/a/y.cue": loop, "/c/b/z.cue": one, "/c/l.yaml": "{}"},
		"one directory":   {"/c/a/x.cue": one, "/c/a/y.cue": loop, "/c/a/z.cue": two, "/c/l.yaml": "{}"},
	} {
		if hash(files) == sum {
			t.Errorf("%s: the hash is the same", name)
		}
	}
}

// TestHashOfImported exchanges the texts of two packages that the config imports: that is another
// config, and the same two elsewhere are not.
func TestHashOfImported(t *testing.T) {
	hash := func(dir, teams, kinds string) string {
		files := []*Source{newSource("c.cue", dir+"/c.cue", []byte("main"))}
		for folder, text := range map[string]string{"teams": teams, "kinds": kinds} {
			f := newSource(folder+"/x.cue", dir+"/"+folder+"/x.cue", []byte(text))
			f.imported = true
			files = append(files, f)
		}
		sum, _ := Hash(files)
		return sum
	}
	sum := hash("/etc/kooperd", "a", "b")
	if hash("/home/me", "a", "b") != sum || hash("/", "a", "b") != sum {
		t.Error("the directory of all of them counts")
	}
	if hash("/etc/kooperd", "b", "a") == sum {
		t.Error("the directories of imported files do not count")
	}
}

// TestHashOfNamed names a file that another one imports: it is a part of the value then.
func TestHashOfNamed(t *testing.T) {
	hash := func(imported bool) string {
		main, other := newSource("c.cue", "/d/c.cue", []byte("main")), newSource("x.cue", "/d/teams/x.cue", []byte("x"))
		other.imported = imported
		sum, _ := Hash([]*Source{main, other})
		return sum
	}
	if hash(true) == hash(false) {
		t.Error("the hash is the same")
	}
}
