package syntax

// Text is a file as it was read. It has everything that is needed to read the file again in another
// process.
type Text struct {
	// Name is the file's name in messages.
	Name string `json:"name"`
	// Path is the absolute name that CUE knows the file by, and that its imports are found from.
	Path string `json:"path"`
	// From is the directory that the file was found in, or "" for a file that was named.
	From string `json:"from,omitempty"`
	// Data is what was read.
	Data []byte `json:"data"`
}

// FromTexts is Read for files that are read already.
func FromTexts(texts []Text) *Sources {
	s := &Sources{Budget: maxInput}
	for _, t := range texts {
		if s.Budget -= int64(len(t.Data)); s.Budget < 0 {
			s.tooLarge(t.Name)
			break
		}
		s.add(newSource(t.Name, t.Path, t.Data), t.From)
	}
	return s
}

// Texts returns the files as they were read.
func (s *Sources) Texts() []Text {
	texts := make([]Text, len(s.Files))
	for i, f := range s.Files {
		texts[i] = Text{Name: f.Name, Path: f.Abs, From: f.found, Data: f.raw}
	}
	return texts
}
