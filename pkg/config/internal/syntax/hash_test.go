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
