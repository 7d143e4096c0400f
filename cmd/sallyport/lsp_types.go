// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "encoding/json"

// The messages of the Language Server Protocol 3.17 that are used, and of
// these the members that are used.

type lspPosition struct {
	Line      int `json:"line"`      // from 0
	Character int `json:"character"` // from 0, in units of the encoding agreed on
}

type lspRange struct {
	Start lspPosition `json:"start"`
	End   lspPosition `json:"end"`
}

type lspLocation struct {
	URI   string   `json:"uri"`
	Range lspRange `json:"range"`
}

type lspInitialize struct {
	Capabilities struct {
		General struct {
			PositionEncodings []string `json:"positionEncodings"`
		} `json:"general"`
		Workspace struct {
			WorkspaceEdit struct {
				DocumentChanges bool `json:"documentChanges"`
			} `json:"workspaceEdit"`
		} `json:"workspace"`
		TextDocument struct {
			Hover struct {
				ContentFormat []string `json:"contentFormat"`
			} `json:"hover"`
			DocumentSymbol struct {
				Hierarchical bool `json:"hierarchicalDocumentSymbolSupport"`
			} `json:"documentSymbol"`
			CodeAction struct {
				Literal json.RawMessage `json:"codeActionLiteralSupport"`
			} `json:"codeAction"`
		} `json:"textDocument"`
	} `json:"capabilities"`
}

// lspParams are those of every notification and request about a document.
type lspParams struct {
	TextDocument struct {
		URI     string `json:"uri"`
		Version int    `json:"version"`
		Text    string `json:"text"` // of didOpen
	} `json:"textDocument"`
	ContentChanges []struct {
		Range *lspRange `json:"range"`
		Text  string    `json:"text"`
	} `json:"contentChanges"` // of didChange
	Position lspPosition `json:"position"`
	Range    lspRange    `json:"range"`   // of codeAction
	NewName  string      `json:"newName"` // of rename
	Context  struct {
		IncludeDeclaration bool     `json:"includeDeclaration"` // of references
		Only               []string `json:"only"`               // of codeAction
	} `json:"context"`
}

type lspDiagnostic struct {
	Range    lspRange `json:"range"`
	Severity int      `json:"severity"` // 1 error, 2 warning, 3 information
	Code     string   `json:"code"`
	Source   string   `json:"source"`
	Message  string   `json:"message"`
}

type lspPublish struct {
	URI         string          `json:"uri"`
	Version     *int            `json:"version,omitempty"` // nil: the document is not open
	Diagnostics []lspDiagnostic `json:"diagnostics"`
}

type lspMarkup struct {
	Kind  string `json:"kind"` // markdown, plaintext
	Value string `json:"value"`
}

type lspHover struct {
	Contents lspMarkup `json:"contents"`
	Range    lspRange  `json:"range"`
}

type lspTextEdit struct {
	Range   lspRange `json:"range"`
	NewText string   `json:"newText"`
}

type lspVersioned struct {
	URI     string `json:"uri"`
	Version int    `json:"version"`
}

type lspDocumentEdit struct {
	TextDocument lspVersioned  `json:"textDocument"`
	Edits        []lspTextEdit `json:"edits"`
}

type lspWorkspaceEdit struct {
	Changes         map[string][]lspTextEdit `json:"changes,omitempty"`
	DocumentChanges []lspDocumentEdit        `json:"documentChanges,omitempty"`
}

type lspRenamable struct {
	Range       lspRange `json:"range"`
	Placeholder string   `json:"placeholder"`
}

type lspCompletionItem struct {
	Label         string      `json:"label"`
	Kind          int         `json:"kind"`
	Detail        string      `json:"detail,omitempty"`
	Documentation string      `json:"documentation,omitempty"`
	SortText      string      `json:"sortText"`
	TextEdit      lspTextEdit `json:"textEdit"`
}

type lspSymbol struct {
	Name           string      `json:"name"`
	Detail         string      `json:"detail,omitempty"`
	Kind           int         `json:"kind"`
	Range          lspRange    `json:"range"`
	SelectionRange lspRange    `json:"selectionRange"`
	Children       []lspSymbol `json:"children,omitempty"`
}

// lspFlatSymbol is for clients that know no hierarchy.
type lspFlatSymbol struct {
	Name          string      `json:"name"`
	Kind          int         `json:"kind"`
	Location      lspLocation `json:"location"`
	ContainerName string      `json:"containerName,omitempty"`
}

// An lspLens has a command that does nothing but be read.
type lspLens struct {
	Range   lspRange   `json:"range"`
	Command lspCommand `json:"command"`
}

type lspCommand struct {
	Title   string `json:"title"`
	Command string `json:"command"`
}

type lspAction struct {
	Title       string           `json:"title"`
	Kind        string           `json:"kind"`
	Diagnostics []lspDiagnostic  `json:"diagnostics"`
	Edit        lspWorkspaceEdit `json:"edit"`
}
