"""Tables, trees and formats for the terminal."""
