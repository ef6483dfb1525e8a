//! Plain building blocks without data: each takes values and gives events, and fetches nothing.
//! Class names and states follow the files in `style/`.

pub mod badge;
pub mod banner;
pub mod button;
pub mod dialog;
pub mod field;
pub mod focus;
pub mod format;
pub mod icon;
pub mod look;
pub mod menu;
pub mod meter;
pub mod palette;
pub mod progress;
pub mod rows;
pub mod split;
pub mod state;
pub mod storage;
pub mod table;
pub mod tabs;
pub mod theme;
pub mod title;
pub mod toast;
pub mod typeahead;

pub use badge::{Badge, BadgeKind, Count};
pub use banner::{Banner, ErrorSummary};
pub use button::{Button, ButtonKind, ButtonSize, IconButton};
pub use dialog::{Dialog, DialogActions, open_about};
pub use field::{SearchField, TextArea, TextField};
pub use format::RelativeTime;
pub use icon::{Brand, Icon};
pub use look::Look;
pub use menu::{Menu, MenuButton, MenuItem, MenuSeparator, MenuState};
pub use meter::Meter;
pub use palette::{Palette, PaletteEntry, PaletteGroup};
pub use progress::Progress;
pub use rows::Rows;
pub use split::{Panel, Sash, SashEdge, use_panel};
pub use state::{Empty, PanelError, Skeleton};
pub use table::Pager;
pub use tabs::{TabItem, Tabs};
pub use theme::{Theme, ThemeChoice, ThemeSwitch, provide_theme, use_dark, use_theme};
pub use title::PageTitle;
pub use toast::{ToastHost, Toasts, provide_toasts, use_toasts};
